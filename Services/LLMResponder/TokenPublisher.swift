import Bytes
import Messages
import ServiceRuntime
import Flows
import MessageLogs
import Synchronization

/// Publishes the pieces of answers while they are generated, on a best-effort basis.
///
/// The model does not wait for the log: pieces queue up here, queued pieces are sent together, and above a limit they
/// are dropped. The final answer has the whole text. After a piece that went out at once, the next ones gather for a moment
/// too short to be seen: log and gateway compute on the same processors as the model as a rule.
final class TokenPublisher: Service {
    private struct Queue {
        var records: [OutgoingRecord] = []
        var dropped = 0
    }

    /// From one sending to the next.
    private static let pause = Duration.milliseconds(25)

    let name = "token-publisher"
    private let log: any MessageLog
    private let metrics: StreamMetrics
    private let logger: Logger
    private let limit: Int
    private let queue = Mutex(Queue())
    private let signals: AsyncStream<Void>
    private let signal: AsyncStream<Void>.Continuation

    /// Makes a publisher that holds at most `limit` pieces.
    init(log: any MessageLog, metrics: StreamMetrics, logger: Logger, limit: Int = 4_096) {
        self.log = log
        self.metrics = metrics
        self.logger = logger
        self.limit = limit
        (signals, signal) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
    }

    /// Queues a piece of an answer.
    func publish(_ token: AnswerToken, user: UserID) {
        guard let value = try? token.encoded() else { return }
        queue.withLock { queue in
            guard queue.records.count < limit else {
                queue.dropped += 1
                return
            }
            queue.records.append(
                OutgoingRecord(topic: Topic.answerTokens.rawValue, key: Array(user.utf8), value: value)
            )
        }
        signal.yield()
    }

    /// Sends what is queued until the service is to stop.
    func run(until shutdown: Shutdown) async throws {
        _ = try await shutdown.cancelling {
            for await _ in self.signals {
                await self.send()
                try await Task.sleep(for: Self.pause)
            }
        }
        await send()
    }

    private func send() async {
        let (records, dropped) = queue.withLock { queue in
            defer { queue = Queue() }
            return (queue.records, queue.dropped)
        }
        if dropped > 0 {
            logger.warning("dropped pieces of answers", metadata: ["records.count": "\(dropped)"])
        }
        guard !records.isEmpty else { return }
        do {
            try await log.append(records)
        } catch {
            metrics.countError(.sending)
            logger.warning("could not send pieces of answers", metadata: ["error": "\(error)"])
        }
    }
}
