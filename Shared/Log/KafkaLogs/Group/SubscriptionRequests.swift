internal import MessageLogs
internal import Synchronization

/// What any task may ask of a subscription, also while another waits in `next`.
final class SubscriptionRequests: Sendable {
    private let closing = Atomic<Bool>(false)
    private let resumed = Mutex<[TopicPartition: Int64]>([:])

    /// Somebody waits for the end, so nothing may be waited for any more.
    var isClosing: Bool { closing.load(ordering: .acquiring) }

    /// Asks for the end.
    func close() {
        closing.store(true, ordering: .releasing)
    }

    /// Asks for records of partitions, which are not to start before some offsets.
    func resume(_ partitions: [TopicPartition], notBefore floors: [TopicPartition: Int64]) {
        resumed.withLock { resumed in
            for partition in partitions { resumed[partition] = floors[partition] ?? 0 }
        }
    }

    /// What was resumed since this was asked last.
    func takeResumed() -> [TopicPartition: Int64] {
        resumed.withLock { resumed in
            defer { resumed = [:] }
            return resumed
        }
    }

    /// Tries again while the broker is away, until the deadline or the request to close.
    func retrying<Value>(
        until deadline: ContinuousClock.Instant,
        _ body: () throws(StreamError) -> Value
    ) throws(StreamError) -> Value {
        while true {
            do throws(StreamError) {
                return try body()
            } catch {
                guard case .unavailable = error, ContinuousClock.now < deadline, !isClosing else { throw error }
                KafkaClient.pause(milliseconds: 50)
            }
        }
    }
}
