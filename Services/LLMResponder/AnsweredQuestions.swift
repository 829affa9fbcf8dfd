import Messages
import StreamProcessing
import Streams

/// The questions of the last minutes that have their answer, so that none gets a second.
///
/// A question may be in the log twice: when its asker sends it again because the first time was in doubt, and when the
/// log's producer does so (librdkafka 2.0.2 after a time out, under a new epoch). It may also be read twice, when the log
/// tells an offset that is too small. Who takes over a partition learns from the answers themselves what has one.
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
    /// How many answers of a partition are looked at when questions are taken over.
    private static let restoredCount: Int64 = 2_000
    private static let sourceHeader = "question-source"
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

    /// The record of an answer, with its question's place in the log.
    static func record(_ answer: Answer, to question: Record) throws(MessageError) -> OutgoingRecord {
        OutgoingRecord(
            topic: Topic.answers.rawValue,
            key: Array(answer.user.utf8),
            value: try answer.encoded(),
            headers: [Header(sourceHeader, "\(question.source.partition) \(question.offset)")]
        )
    }

    /// Learns from the last answers which questions of newly assigned partitions have one.
    ///
    /// - Returns: an offset of each partition whose questions up to there all have their answers.
    /// - Throws: what the log throws.
    mutating func restore(
        _ partitions: [TopicPartition],
        from log: any MessageLog
    ) async throws -> [TopicPartition: Int64] {
        var floors: [TopicPartition: Int64] = [:]
        let answerCount = try await log.partitionCount(of: Topic.answers.rawValue) ?? 0
        let questionCount = try await log.partitionCount(of: Topic.questions.rawValue)
        for partition in partitions {
            // Answers have their questions' keys, so with as many partitions they lie in the one of the same number.
            let numbers = answerCount == questionCount ? [partition.partition] : Array(0..<answerCount)
            let found = Found()
            for number in numbers {
                let place = TopicPartition(Topic.answers.rawValue, number)
                let (low, high) = try await log.watermarks(of: place)
                await found.begin(isWhole: high - low <= Self.restoredCount)
                try await log.replay(place, last: Self.restoredCount) { await found.add($0, to: partition.partition) }
            }
            insert(await found.keys, in: partition)
            floors[partition] = await found.floor
        }
        return floors
    }

    /// The answers to a partition's questions among the last ones.
    private actor Found {
        private(set) var keys: [Key] = []
        private var isWhole = true
        private var first: Int64?

        /// All questions before those whose answers were found have theirs too, unless there is nothing before.
        var floor: Int64? { isWhole ? nil : first }

        func begin(isWhole: Bool) { self.isWhole = self.isWhole && isWhole }

        func add(_ records: [Record], to partition: Int32) {
            for record in records {
                let source = record.header(sourceHeader)?.split(separator: " ").compactMap { Int64($0) } ?? []
                guard source.count == 2, source[0] == partition, let value = record.value,
                    let answer = try? Answer(decoding: value, contentType: record.header(ContentType.header))
                else { continue }
                keys.append(Key(answer))
                first = min(first ?? source[1], source[1])
            }
        }
    }

    /// Forgets partitions whose last commit may not count.
    mutating func forget(_ partitions: [TopicPartition]) {
        for partition in partitions {
            known[partition] = nil
            order[partition] = nil
        }
    }
}
