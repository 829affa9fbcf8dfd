import Messages
import MessageLogs

/// The questions that have an answer, so that none gets a second one.
///
/// A question may be read twice, because the committed offset is that of the first question that still waits, and later
/// ones are answered in the meantime. A process that takes over a partition reads the answers, as far back as the
/// offset requires, to find out which of these have one (`RestoredQuestions`).
///
/// A question may also be in the log twice. Its user sends it again because the first attempt was in doubt, or the
/// log's producer does (librdkafka 2.0.2 after a timeout, under a new epoch). A record of a question that was appended
/// less than ten minutes after its answer is such a copy; one that was appended later is a new request.
struct AnsweredQuestions {
    private struct Known {
        var times: [QuestionKey: Int64] = [:]
        /// In the order they were answered, to evict the oldest.
        var order: [(key: QuestionKey, time: Int64)] = []

        mutating func forget(_ count: Int) {
            for entry in order.prefix(count) where times[entry.key] == entry.time { times[entry.key] = nil }
            order.removeFirst(count)
        }
    }

    /// How long after its answer a repeated question counts as a copy, in milliseconds.
    private static let copyMilliseconds: Int64 = 600_000
    /// How long answers are remembered, because copies may be read late, and how many per partition.
    private static let knownMilliseconds = copyMilliseconds + Limits.waitingMilliseconds
    private static let knownCount = 100_000

    private var known: [TopicPartition: Known] = [:]
    private var restored: [TopicPartition: RestoredQuestions] = [:]

    /// Takes over a partition.
    mutating func begin(_ partition: TopicPartition, _ restored: RestoredQuestions) {
        known[partition] = nil
        self.restored[partition] = restored
    }

    /// Whether a question has its answer.
    func contains(_ question: PlacedQuestion, appendedAt: Int64) -> Bool {
        let partition = question.place.partition
        if let restored = restored[partition] {
            let isAnswered = restored.answers(to: question.key).contains {
                $0.offset == question.place.offset || Self.isCopy(appendedAt, of: $0.time)
            }
            if isAnswered { return true }
        }
        guard let time = known[partition]?.times[question.key] else { return false }
        return Self.isCopy(appendedAt, of: time)
    }

    /// Whether a record was rejected before it came to this process.
    func isRejected(_ record: Record) -> Bool {
        restored[record.source]?.rejectedOffsets.contains(record.offset) == true
    }

    /// Notes questions whose answers are committed.
    ///
    /// - keys: the questions.
    ///   - keys: the questions.
    ///   - partition: the partition of the questions.
    ///   - time: when they were answered, in milliseconds since 1970.
    ///   - position: the next offset to read in the partition.
    mutating func insert(
        _ keys: some Sequence<QuestionKey>,
        in partition: TopicPartition,
        at time: Int64,
        position: Int64
    ) {
        var known = self.known.removeValue(forKey: partition) ?? Known()
        for key in keys {
            known.times[key] = time
            known.order.append((key, time))
        }
        let (oldest, _) = time.subtractingReportingOverflow(Self.knownMilliseconds)
        let excess = max(0, known.order.count - Self.knownCount)
        let old = max(excess, known.order.prefix { $0.time < oldest }.count)
        // In batches, because everything that stays is moved.
        if old >= 1_000 { known.forget(old) }
        self.known[partition] = known
        // Records from here on are read for the first time, and copies of what was restored no longer come.
        if let restored = restored[partition], position >= restored.end, restored.newestTime < oldest,
            restored.rejectedOffsets.allSatisfy({ $0 < position })
        {
            self.restored[partition] = nil
        }
    }

    /// Forgets partitions that were reassigned; their next owner restores this from the log.
    mutating func forget(_ partitions: [TopicPartition]) {
        for partition in partitions {
            known[partition] = nil
            restored[partition] = nil
        }
    }

    private static func isCopy(_ appendedAt: Int64, of answeredAt: Int64) -> Bool {
        let (end, isTooLate) = answeredAt.addingReportingOverflow(copyMilliseconds)
        return isTooLate || appendedAt <= end
    }
}
