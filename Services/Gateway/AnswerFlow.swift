import Concurrency
import Bytes
import Messages
import ServiceRuntime
import Flows
import MessageLogs

/// Follows `answers` and `answer-tokens` in all partitions and puts them on the board.
///
/// It reads without a consumer group, so that every gateway gets every answer. It starts a few minutes back, so that a
/// restarted gateway still has the answers that were asked for before.
struct AnswerFlow: Service {
    private static let age: Duration = .seconds(600)

    let name = "answer-flow"
    let log: any MessageLog
    let board: AnswerBoard
    let instance: String
    let metrics: GatewayMetrics
    let health: HealthCondition
    let logger: Logger

    func run(until shutdown: Shutdown) async throws {
        var backoff = Backoff()
        while !shutdown.isRequested {
            do throws(StreamError) {
                try await follow(until: shutdown) { backoff.reset() }
            } catch {
                switch error {
                // Whatever retention removed during the lookup was too old for any waiting client.
                case .unavailable, .offsetGone: break
                default: throw error
                }
                metrics.receivingErrors.increment()
                health.fails("\(error)")
                logger.warning("answers cannot be followed, trying again", metadata: ["error": "\(error)"])
                try await shutdown.wait(atMost: backoff.next())
            }
        }
    }

    private func follow(until shutdown: Shutdown, onProgress: () -> Void) async throws(StreamError) {
        let subscription = try await log.subscribe(
            SubscriptionOptions(
                topics: [Topic.answers.rawValue, Topic.answerTokens.rawValue],
                membership: .tail(since: Self.age),
                linger: .zero,
                memberName: "gateway-\(instance)"
            )
        )
        do {
            while let event = try await subscription.next(until: shutdown) {
                onProgress()
                if case .batch(let batch) = event { take(batch) }
                health.holds()
            }
        } catch {
            await subscription.close()
            throw error as? StreamError ?? .fatal("\(error)")
        }
    }

    private func take(_ batch: Batch) {
        metrics.received.increment(by: batch.records.count)
        for record in batch.records {
            guard let value = record.value else { continue }
            do throws(MessageError) {
                try take(value, of: record)
                metrics.processed.increment()
            } catch {
                // Each gateway reads every record, so rejecting it is left to the consumers of the group.
                metrics.rejected.increment()
                logger.debug(
                    "a record cannot be read",
                    metadata: ["log.record": "\(record.source)@\(record.offset)", "error": "\(error)"]
                )
            }
        }
    }

    private func take(_ value: [UInt8], of record: Record) throws(MessageError) {
        let contentType = record.header(ContentType.header)
        guard record.source.topic == Topic.answers.rawValue else {
            // A piece does not name its user; its key does.
            guard let user = record.key.flatMap({ String(validating: $0, as: UTF8.self) }) else {
                throw MessageError(field: "key", reason: "is missing or not UTF-8: it is the user's id")
            }
            return board.add(try AnswerToken(decoding: value, contentType: contentType), of: UserID(user))
        }
        let answer = try Answer(decoding: value, contentType: contentType)
        board.add(answer)
        metrics.answerDuration.observe(.milliseconds(max(0, WallClock.milliseconds - answer.askedAt)))
    }
}
