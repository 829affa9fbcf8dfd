import Concurrency
import ServiceRuntime
import Flows
import MessageLogs
import Synchronization

/// Finds out what became of the questions of newly assigned partitions, while others are answered.
///
/// The answers of a predecessor that just stopped may take some seconds to be settled themselves, and other partitions'
/// questions need not wait for that. The flow calls `take` for the results, and only then resumes the partitions.
final class QuestionRestores: Sendable {
    private struct Request: Sendable {
        let number: Int
        let partitions: [TopicPartition]
    }

    private struct State {
        var last = 0
        /// The current request of each partition that is waited for.
        var open: [TopicPartition: Int] = [:]
        var found: [(number: Int, found: RestoredQuestions.Found)] = []
    }

    private let log: any MessageLog
    private let most: Int
    private let signal: Signal
    private let metrics: StreamMetrics
    private let logger: Logger
    private let requests: AsyncStream<Request>
    private let requesting: AsyncStream<Request>.Continuation
    private let state = Mutex(State())

    /// Begins without partitions.
    ///
    /// - Parameters:
    ///   - log: the log.
    ///   - most: the maximum number of answers kept per partition.
    ///   - signal: raised when there are results.
    ///   - metrics: counts failures.
    ///   - logger: receives warnings.
    init(_ log: any MessageLog, most: Int, signal: Signal, metrics: StreamMetrics, logger: Logger) {
        self.log = log
        self.most = most
        self.signal = signal
        self.metrics = metrics
        self.logger = logger
        (requests, requesting) = AsyncStream.makeStream()
    }

    /// A partition that is not restored yet; nil if there is none.
    var waiting: TopicPartition? { state.withLock { $0.open.keys.min { $0.partition < $1.partition } } }

    /// Adds partitions to restore.
    func begin(_ partitions: [TopicPartition]) {
        let number = state.withLock { state in
            state.last += 1
            for partition in partitions { state.open[partition] = state.last }
            return state.last
        }
        requesting.yield(Request(number: number, partitions: partitions))
    }

    /// Abandons partitions.
    func cancel(_ partitions: [TopicPartition]) {
        state.withLock { state in
            for partition in partitions { state.open[partition] = nil }
        }
    }

    /// The results since the last call, without those of abandoned partitions.
    func take() -> [RestoredQuestions.Found] {
        state.withLock { state in
            defer { state.found = [] }
            return state.found.map { number, found in
                var found = found
                found.partitions = found.partitions.filter { state.open[$0.key] == number }
                for partition in found.partitions.keys { state.open[partition] = nil }
                return found
            }
        }
    }

    /// Restores partitions until the task is cancelled.
    ///
    /// - Throws: errors of the log, unless it is only unavailable.
    func run() async throws {
        for await request in requests {
            var backoff = Backoff()
            while !Task.isCancelled, isOpen(request) {
                do {
                    let found = try await RestoredQuestions.read(request.partitions, from: log, most: most)
                    state.withLock { $0.found.append((request.number, found)) }
                    signal.raise()
                    break
                } catch {
                    // A cancelled read ends with an error of the log.
                    if Task.isCancelled { return }
                    guard let failure = error as? StreamError, case .unavailable = failure else { throw error }
                    metrics.countError(.receiving)
                    logger.warning("cannot see what is answered already", metadata: ["error": failure.description])
                }
                try? await Task.sleep(for: backoff.next())
            }
        }
    }

    private func isOpen(_ request: Request) -> Bool {
        state.withLock { state in request.partitions.contains { state.open[$0] == request.number } }
    }
}
