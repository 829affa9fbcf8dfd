import Bytes
import Messages
import Flows
import MessageLogs
import Synchronization

extension RestoredQuestions {
    /// The result of `read` for one partition.
    struct Found: Sendable {
        var partitions: [TopicPartition: RestoredQuestions]
        /// Whether answers are in the partitions with the same numbers as their questions'.
        var sharesPartitions: Bool
    }

    /// The minimum look-back for answers, in offsets of a partition of `answers`.
    private static let leastCount: Int64 = 4_000
    /// The minimum and maximum look-back for rejected records.
    private static let rejectedCounts: ClosedRange<Int64> = 1_000...64_000

    /// Reads from the log what became of the questions of newly assigned partitions from the committed offset on.
    ///
    /// It waits for answers whose commit is in flight: they are the predecessor's, and otherwise count as missing. It
    /// looks back from the end of `answers` until the first answers that it sees agree that all earlier ones are to
    /// questions before the committed offset.
    ///
    /// Nothing that a record says about other questions marks these as done, because anyone may have written it. So if
    /// the log's servers lose a commit, some questions are read again, and each is recognized by its own answer.
    /// - Parameters:
    ///   - partitions: partitions of `questions`.
    ///   - log: the log.
    ///   - group: the group whose offsets count.
    ///   - most: the maximum number of answers kept per partition.
    ///   - least: the minimum look-back for answers.
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

    /// Looks back through a partition of answers, each time four times as far, until every answer that may belong to
    /// questions in the ranges is seen.
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

    /// Offsets of rejected questions, from the given starts on.
    ///
    /// Questions are rejected in offset order, so a rejection before a partition's start ends its look-back.
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
    /// How many of the first answers must agree that earlier ones do not matter: a single one may have been written by
    /// anyone.
    private static let probeCount = 2

    private let range: Range<Int64>
    /// Answers from this offset of `answers` on are kept, whichever questions they belong to.
    private let recent: Int64
    private let most: Int
    private(set) var found: [RestoredQuestions.Answered] = []
    /// The questions of the first answers, and whether each answer says that all earlier ones are to questions before
    /// the range.
    private var probes: [QuestionKey: Bool] = [:]

    init(_ range: Range<Int64>, recent: Int64, most: Int) {
        self.range = range
        self.recent = recent
        self.most = most
    }

    /// Whether all answers before the ones seen are to questions before the range.
    var isComplete: Bool { probes.count == Self.probeCount && probes.values.allSatisfy(\.self) }

    mutating func take(_ record: Record, to offset: Int64) {
        // An offset past the end belongs to a topic that has since been recreated.
        let isKept =
            offset < range.upperBound && (offset >= range.lowerBound || record.offset >= recent) && found.count < most
        let isProbe = probes.count < Self.probeCount
        guard isKept || isProbe, let answer = Answer(in: record) else { return }
        let key = QuestionKey(answer)
        if isKept { found.append(.init(key: key, offset: offset, time: record.timestamp)) }
        // An answer that says its own question is unanswered is no evidence.
        if isProbe, probes[key] == nil, let progress = AnswerProgress(record), offset < progress.end {
            probes[key] = progress.end <= range.lowerBound
        }
    }

    func joined(with other: AnswerCollection, _ most: Int) -> AnswerCollection {
        var both = self
        both.found = Array((found + other.found).prefix(most))
        return both
    }
}

extension Answer {
    /// Decodes an answer; nil if the record holds none, or one for another user than its key says.
    fileprivate init?(in record: Record) {
        guard let value = record.value,
            let answer = try? Answer(decoding: value, contentType: record.header(ContentType.header)),
            record.key == Array(answer.user.utf8)
        else { return nil }
        self = answer
    }

    /// The position of an answer's question; nil if its record does not say it, or says something impossible.
    fileprivate static func source(of record: Record) -> (partition: Int32, offset: Int64)? {
        let numbers = record.header(sourceHeader)?.split(separator: " ").map { Int64($0) } ?? []
        guard numbers.count == 2, let partition = numbers[0].flatMap({ Int32(exactly: $0) }), let offset = numbers[1],
            offset >= 0
        else { return nil }
        return (partition, offset)
    }
}
