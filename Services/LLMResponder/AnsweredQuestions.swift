import Identifiers
import Messages
import StreamProcessing
import Streams
import Synchronization

/// The questions of the last minutes that have their answer, so that none gets a second.
///
/// A question may be in the log twice: when its asker sends it again because the first time was in doubt, and when the
/// log's producer does so (librdkafka 2.0.2 after a time out, under a new epoch). It may also be read twice, when the log
/// tells an offset that is too small. Who takes over a partition learns from the answers themselves what has one.
struct AnsweredQuestions {
    /// Two users may have chosen the same id.
    struct Key: Hashable, Sendable {
        private let user: UserID
        private let id: QuestionID

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
    /// How far back answers are looked at when questions are taken over, in offsets of a partition of `answers`.
    private static let restoredCount: Int64 = 4_000
    /// At least the largest batch: of a commit that broke off not all answers may be there.
    private static let slack: Int64 = 1_000

    private let restoredCount: Int64
    private let slack: Int64
    private var known: [TopicPartition: Set<Key>] = [:]
    /// In the order they were answered, to forget the oldest.
    private var order: [TopicPartition: [Entry]] = [:]
    /// Questions that had their answers when the partition was taken over, by their offsets.
    private var restored: [TopicPartition: [Int64: Key]] = [:]

    /// Begins with nothing.
    ///
    /// - Parameters:
    ///   - restoredCount: how far back answers are looked at.
    ///   - slack: how many questions before the oldest of those may come again.
    init(restoredCount: Int64 = Self.restoredCount, slack: Int64 = Self.slack) {
        self.restoredCount = restoredCount
        self.slack = slack
    }

    /// Whether a question has its answer.
    func contains(_ question: Question, in record: Record) -> Bool {
        let key = Key(question)
        return restored[record.source]?[record.offset] == key || known[record.source]?.contains(key) == true
    }

    /// Notes questions of a partition whose answers are committed, and forgets old ones.
    ///
    /// - Parameters:
    ///   - keys: the questions.
    ///   - partition: theirs.
    ///   - since: when they were answered, not before those that were noted earlier.
    mutating func insert(
        _ keys: some Sequence<Key>,
        in partition: TopicPartition,
        since: ContinuousClock.Instant = .now
    ) {
        for key in keys where known[partition, default: []].insert(key).inserted {
            order[partition, default: []].append(Entry(key: key, since: since))
        }
        let now = ContinuousClock.now
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
            headers: [Header(Answer.sourceHeader, "\(question.source.partition) \(question.offset)")]
        )
    }

    /// Learns from the last answers which questions of newly assigned partitions have one.
    ///
    /// - Returns: for a partition whose answers go further back than was looked, an offset before which all have theirs.
    /// - Throws: what the log throws.
    mutating func restore(
        _ partitions: [TopicPartition],
        from log: any MessageLog
    ) async throws -> [TopicPartition: Int64] {
        let answerCount = try await log.partitionCount(of: Topic.answers.rawValue) ?? 0
        let questionCount = try await log.partitionCount(of: Topic.questions.rawValue)
        // Answers have their questions' keys, so with as many partitions they lie in those of the same numbers.
        let numbers = answerCount == questionCount ? partitions.map(\.partition) : Array(0..<answerCount)
        let found = Mutex<[Int32: [Found]]>([:])
        var isWhole = true
        for number in numbers {
            let place = TopicPartition(Topic.answers.rawValue, number)
            let (low, high) = try await log.watermarks(of: place)
            isWhole = isWhole && high - low <= restoredCount
            try await log.replay(place, last: restoredCount) { records in
                let more = Dictionary(grouping: records.compactMap { Found($0) }, by: \.partition)
                found.withLock { $0.merge(more) { $0 + $1 } }
            }
        }
        let (now, milliseconds) = (ContinuousClock.now, WallClock.milliseconds)
        var floors: [TopicPartition: Int64] = [:]
        for partition in partitions {
            let answers = found.withLock { $0[partition.partition] ?? [] }
            restored[partition] = Dictionary(answers.map { ($0.offset, $0.key) }) { $1 }
            for answer in answers.sorted(by: { $0.time < $1.time }) {
                let age = Duration.milliseconds(max(0, milliseconds - answer.time))
                insert([answer.key], in: partition, since: now - age)
            }
            if !isWhole, let first = answers.map(\.offset).min() { floors[partition] = first - slack }
        }
        return floors
    }

    /// An answer in the log, and its question's place.
    private struct Found: Sendable {
        let key: Key
        let partition: Int32
        let offset: Int64
        let time: Int64

        init?(_ record: Record) {
            let source = record.header(Answer.sourceHeader)?.split(separator: " ").compactMap { Int64($0) } ?? []
            // Anybody may have written it: what is no offset must not become one by arithmetic.
            guard source.count == 2, let partition = Int32(exactly: source[0]), source[1] >= 0,
                let value = record.value,
                let answer = try? Answer(decoding: value, contentType: record.header(ContentType.header))
            else { return nil }
            key = Key(answer)
            self.partition = partition
            offset = source[1]
            time = record.timestamp
        }
    }

    /// Forgets partitions that went elsewhere; whoever takes them over learns it anew.
    mutating func forget(_ partitions: [TopicPartition]) {
        for partition in partitions {
            known[partition] = nil
            order[partition] = nil
            restored[partition] = nil
        }
    }
}
