import Bytes
import Messages
import Flows
public import MessageLogs

/// How far the services are with what is in the log.
public struct Progress: Sendable {
    private let log: any MessageLog

    /// Will ask a log.
    public init(_ log: any MessageLog) {
        self.log = log
    }

    /// How many records of `user-events` the encoder workers have committed.
    public func committedEvents() async throws -> Int64 {
        let topic = Topic.userEvents.rawValue
        let committed = try await log.committedOffsets(group: ConsumerGroup.encoderWorker, topic: topic)
        var sum: Int64 = 0
        for (partition, offset) in committed { sum += offset - (try await log.watermarks(of: partition)).low }
        return sum
    }

    /// Waits until every event is encoded and every embedding written.
    public func waitUntilDrained(within limit: Duration) async throws {
        // Embeddings only become fewer once there are no more events, so events come first.
        let stages = [
            (ConsumerGroup.encoderWorker, Topic.userEvents), (ConsumerGroup.embeddingWriter, Topic.userEmbeddings),
        ]
        let end = ContinuousClock.now + limit
        for (group, topic) in stages {
            let rest = end - ContinuousClock.now
            try await poll(
                "\(group) has read all of \(topic.rawValue)",
                within: max(rest, .seconds(1)),
                every: .milliseconds(100)
            ) {
                try await log.lag(group: group, topic: topic.rawValue) == 0
            }
        }
    }
}
