import Bytes
import Messages
import Flows
import MessageLogs
import Synchronization

extension RestoredQuestions {
    /// What `read` gives.
    struct Found: Sendable {
        var partitions: [TopicPartition: RestoredQuestions]
        /// Whether answers lie in the partitions of their questions' numbers.
        var sharesPartitions: Bool
    }

    /// How far back answers are looked at in any case, in offsets of a partition of `answers`.
    private static let leastCount: Int64 = 4_000
    /// How far back records that were rejected are looked at, at least and at most.
    private static let rejectedCounts: ClosedRange<Int64> = 1_000...64_000

    /// Learns from the log what became of the questions of newly assigned partitions from the committed offset on.
    ///
    /// Answers whose commit is just under way are waited for: they are the predecessor's, or count as not there. From the
    /// end of `answers` it looks back until the first answers that it sees say that all before them are answers to questions
    /// before the committed offset.
    ///
    /// Nothing that a record says of other questions makes them count as done with: anybody may have written it. So a log
    /// whose servers forgot a commit gives some questions again, and each of them is known by its own answer.
    /// - Parameters:
    ///   - partitions: of `questions`.
    ///   - log: the log.
    ///   - group: whose offsets count.
    ///   - most: how many answers of a partition are kept at most.
    ///   - least: how far back answers are looked at in any case.
    /// - Returns: what became of each partition's questions.
    /// - Throws: what the log throws.
    static func read(
        _ partitions: [TopicPartition],
        from log: any MessageLog,
        group: String = ConsumerGroup.llmResponder,
        most: Int,
        least: Int64 = Self.leastCount
    ) async throws -> Found {
        let committed = try await log.committedOffsets(group: group, topic: Topic.questions.rawValue)
        var ranges: [TopicPartition: Range<Int64>] = [:]
        var gone: [TopicPartition: Int64] = [:]
        for partition in partitions {
            let (low, high) = try await log.watermarks(of: partition)
            let start = committed[partition] ?? low
            ranges[partition] = max(start, low)..<max(start, low, high)
            gone[partition] = max(0, low - max(0, start))
        }
        let answerCount = try await log.partitionCount(of: Topic.answers.rawValue) ?? 0
        let questionCount = try await log.partitionCount(of: Topic.questions.rawValue)
        let sharesPartitions = answerCount == questionCount
        var found: [Int32: AnswerCollection] = [:]
        if sharesPartitions {
            for (partition, range) in ranges {
                let place = TopicPartition(Topic.answers.rawValue, partition.partition)
                found[partition.partition] = try await answers(
                    in: place,
                    to: [partition.partition: range],
                    of: log,
                    most,
                    least
                )[partition.partition]
            }
        } else {
            let numbered = Dictionary(uniqueKeysWithValues: ranges.map { ($0.key.partition, $0.value) })
            for number in 0..<answerCount {
                let place = TopicPartition(Topic.answers.rawValue, number)
                let more = try await answers(in: place, to: numbered, of: log, most, .max)
                found.merge(more) { $0.joined(with: $1, most) }
            }
        }
        let rejected = try await rejectedOffsets(from: ranges.mapValues(\.lowerBound), of: log)
        var restored: [TopicPartition: RestoredQuestions] = [:]
        for (partition, range) in ranges {
            let answers = found[partition.partition]
            restored[partition] = RestoredQuestions(
                start: range.lowerBound,
                goneCount: gone[partition] ?? 0,
                answers: answers?.found ?? [],
                rejectedOffsets: rejected[partition] ?? []
            )
        }
        return Found(partitions: restored, sharesPartitions: sharesPartitions)
    }

    /// Looks back through a partition of answers until everything is seen that can be an answer to questions in the ranges,
    /// each time four times as far.
    private static func answers(
        in place: TopicPartition,
        to ranges: [Int32: Range<Int64>],
        of log: any MessageLog,
        _ most: Int,
        _ least: Int64
    ) async throws -> [Int32: AnswerCollection] {
        var count = least
        while true {
            let (low, high) = try await log.watermarks(of: place)
            let isWhole = high - low <= count
            let collections = Mutex(
                ranges.mapValues { AnswerCollection($0, recent: max(0, high - leastCount), most: most) }
            )
            try await log.replay(place, last: count, waitingForOpenTransactions: true) { records in
                collections.withLock { collections in
                    for record in records {
                        guard let source = Answer.source(of: record) else { continue }
                        collections[source.partition]?.take(record, to: source.offset)
                    }
                }
            }
            let found = collections.withLock { $0 }
            if isWhole || found.values.allSatisfy(\.isComplete) { return found }
            count = count.multipliedReportingOverflow(by: 4).overflow ? .max : count * 4
        }
    }

    /// Offsets of questions that were rejected, of those from the starts on.
    ///
    /// They are rejected in the order of their offsets, so one of a partition before its start ends the look back for it.
    private static func rejectedOffsets(
        from starts: [TopicPartition: Int64],
        of log: any MessageLog
    ) async throws -> [TopicPartition: Set<Int64>] {
        struct Rejected {
            var offsets: [TopicPartition: Set<Int64>] = [:]
            var complete: Set<TopicPartition> = []
        }
        let topic = Topic.questions.rejected
        var offsets: [TopicPartition: Set<Int64>] = [:]
        for number in 0..<(try await log.partitionCount(of: topic) ?? 0) {
            let place = TopicPartition(topic, number)
            var count = rejectedCounts.lowerBound
            while true {
                let (low, high) = try await log.watermarks(of: place)
                let rejected = Mutex(Rejected())
                try await log.replay(place, last: count, waitingForOpenTransactions: true) { records in
                    rejected.withLock { rejected in
                        for rejection in records.compactMap({ Rejection(headersOf: $0) }) {
                            guard let start = starts[rejection.source] else { continue }
                            if rejection.offset < start {
                                rejected.complete.insert(rejection.source)
                            } else {
                                rejected.offsets[rejection.source, default: []].insert(rejection.offset)
                            }
                        }
                    }
                }
                let found = rejected.withLock { $0 }
                if high - low <= count || count >= rejectedCounts.upperBound || found.complete.count == starts.count {
                    offsets.merge(found.offsets) { $0.union($1) }
                    break
                }
                count *= 4
            }
        }
        return offsets
    }
}

/// The answers to questions of one partition.
private struct AnswerCollection: Sendable {
    /// How many of the first answers must agree that those before them do not matter: one alone may be anybody's.
    private static let witnessCount = 2

    private let range: Range<Int64>
    /// Answers from this offset of `answers` on are kept, whichever questions they are to.
    private let recent: Int64
    private let most: Int
    private(set) var found: [RestoredQuestions.Answered] = []
    /// The questions of the first answers, and whether each answer says that all before it are to questions before the range.
    private var witnesses: [QuestionKey: Bool] = [:]

    init(_ range: Range<Int64>, recent: Int64, most: Int) {
        self.range = range
        self.recent = recent
        self.most = most
    }

    /// Whether all answers before those that were seen are to questions before the range.
    var isComplete: Bool { witnesses.count == Self.witnessCount && witnesses.values.allSatisfy(\.self) }

    mutating func take(_ record: Record, to offset: Int64) {
        // What lies past the end is of a topic that was made anew since.
        let isKept =
            offset < range.upperBound && (offset >= range.lowerBound || record.offset >= recent) && found.count < most
        let isWitness = witnesses.count < Self.witnessCount
        guard isKept || isWitness, let answer = Answer(in: record) else { return }
        let key = QuestionKey(answer)
        if isKept { found.append(.init(key: key, offset: offset, time: record.timestamp)) }
        // What says that its own question has no answer yet says nothing.
        if isWitness, witnesses[key] == nil, let progress = AnswerProgress(record), offset < progress.end {
            witnesses[key] = progress.end <= range.lowerBound
        }
    }

    func joined(with other: AnswerCollection, _ most: Int) -> AnswerCollection {
        var both = self
        both.found = Array((found + other.found).prefix(most))
        return both
    }
}

extension Answer {
    /// Reads an answer; nil when the record holds none, or that of another user than its key says.
    fileprivate init?(in record: Record) {
        guard let value = record.value,
            let answer = try? Answer(decoding: value, contentType: record.header(ContentType.header)),
            record.key == Array(answer.user.utf8)
        else { return nil }
        self = answer
    }

    /// Where an answer's question lies; nil when its record does not say it, or says what cannot be.
    fileprivate static func source(of record: Record) -> (partition: Int32, offset: Int64)? {
        let numbers = record.header(sourceHeader)?.split(separator: " ").map { Int64($0) } ?? []
        guard numbers.count == 2, let partition = numbers[0].flatMap({ Int32(exactly: $0) }), let offset = numbers[1],
            offset >= 0
        else { return nil }
        return (partition, offset)
    }
}
