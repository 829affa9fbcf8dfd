import Messages
import Streams

/// The questions of the last minutes that have their answer, so that none gets a second.
///
/// A question may be in the log twice: when its asker sends it again because the first time was in doubt, and when the
/// log's producer does so (librdkafka 2.0.2 after a time out, under a new epoch).
struct AnsweredQuestions {
    /// Two users may have chosen the same id.
    struct Key: Hashable {
        private let user: String
        private let id: String

        init(_ question: Question) {
            user = question.user
            id = question.id
        }

        init(_ answer: Answer) {
            user = answer.user
            id = answer.questionID
        }
    }

    private struct Entry {
        var key: Key
        var since: ContinuousClock.Instant
    }

    private static let age: Duration = .seconds(600)
    private var known: [TopicPartition: Set<Key>] = [:]
    /// In the order they were answered, to forget the oldest.
    private var order: [TopicPartition: [Entry]] = [:]

    /// Whether a question of a partition has its answer.
    func contains(_ key: Key, in partition: TopicPartition) -> Bool { known[partition]?.contains(key) ?? false }

    /// Notes questions of a partition whose answers are committed, and forgets old ones.
    mutating func insert(
        _ keys: some Sequence<Key>,
        in partition: TopicPartition,
        now: ContinuousClock.Instant = .now
    ) {
        for key in keys where known[partition, default: []].insert(key).inserted {
            order[partition, default: []].append(Entry(key: key, since: now))
        }
        let old = order[partition, default: []].prefix { now - $0.since > Self.age }
        for entry in old { known[partition]?.remove(entry.key) }
        order[partition]?.removeFirst(old.count)
    }

    /// Forgets partitions whose last commit may not count.
    mutating func forget(_ partitions: [TopicPartition]) {
        for partition in partitions {
            known[partition] = nil
            order[partition] = nil
        }
    }
}
