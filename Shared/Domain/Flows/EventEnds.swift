import Concurrency
import Messages
public import MessageLogs

/// The end offsets of the partitions of `user-events`, against which offsets that other topics' records and headers
/// claim are checked.
///
/// The log is queried only when a record claims more than is known, so hardly ever while there is a backlog.
public actor EventEnds {
    /// What is known.
    public struct Extent: Sendable {
        /// How many partitions there are.
        public let partitionCount: Int32
        /// For each partition that was claimed to reach a certain offset, an offset past all its records.
        public let ends: [Int32: Int64]

        /// Makes an extent.
        public init(partitionCount: Int32, ends: [Int32: Int64]) {
            self.partitionCount = partitionCount
            self.ends = ends
        }
    }

    /// How long to wait for a log that is unreachable.
    private static let patience: Duration = .seconds(60)
    private static let topic = Topic.userEvents.rawValue

    private let log: any MessageLog
    private var partitionCount: Int32 = 0
    private var ends: [Int32: Int64] = [:]

    /// Starts with nothing known.
    public init(_ log: any MessageLog) {
        self.log = log
    }

    /// The known extent, queried again where the claims are not below it.
    ///
    /// - Parameter claims: for each partition an offset that a record is claimed to have.
    /// - Returns: what is known afterwards.
    /// - Throws: `StreamError`.
    public func extent(for claims: [Int32: Int64]) async throws -> Extent {
        if let greatest = claims.keys.max(), greatest >= partitionCount {
            partitionCount = try await patiently { () throws(StreamError) in
                guard let count = try await log.partitionCount(of: Self.topic) else { throw .unknownTopic(Self.topic) }
                return count
            }
        }
        for (partition, offset) in claims
        where (0..<partitionCount).contains(partition) && ends[partition] ?? 0 <= offset {
            ends[partition] = try await patiently { () throws(StreamError) in
                try await log.watermarks(of: TopicPartition(Self.topic, partition)).high
            }
        }
        return Extent(partitionCount: partitionCount, ends: ends)
    }

    private func patiently<Value: Sendable>(_ ask: () async throws(StreamError) -> Value) async throws -> Value {
        let deadline = ContinuousClock.now + Self.patience
        var backoff = Backoff()
        while true {
            do throws(StreamError) {
                return try await ask()
            } catch {
                guard case .unavailable = error, ContinuousClock.now < deadline else { throw error }
            }
            try await Task.sleep(for: backoff.next())
        }
    }
}
