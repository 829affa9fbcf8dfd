import Messages
import MessageLogs

/// The questions that have their answer, so that none gets a second.
///
/// A question may be read twice, because the offset that is committed is that of the first question that still waits, and
/// those behind it are answered meanwhile. Who takes over a partition learns from the answers themselves, of as far back as
/// the offset demands, which of them have one (`RestoredQuestions`).
///
/// A question may also be in the log twice: when its asker sends it again because the first time was in doubt, and when
/// the log's producer does so (librdkafka 2.0.2 after a time out, under a new epoch). A record of a question that was
/// appended before ten minutes after its answer is such a copy; one that was appended later asks anew.
struct AnsweredQuestions {
    private struct Known {
        var times: [QuestionKey: Int64] = [:]
        /// In the order they were answered, to forget the oldest.
        var order: [(key: QuestionKey, time: Int64)] = []

        mutating func forget(_ count: Int) {
            for entry in order.prefix(count) where times[entry.key] == entry.time { times[entry.key] = nil }
            order.removeFirst(count)
        }
    }

    /// How long after its answer a question that comes again is a copy, in milliseconds.
    private static let copyMilliseconds: Int64 = 600_000
    /// How long answers are known, for copies may be read late, and how many of one partition.
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
    /// - Parameters:
    ///   - keys: the questions.
    ///   - partition: theirs.
    ///   - time: when they were answered, in milliseconds since 1970.
    ///   - position: how far the partition is read.
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
        // Some at a time, for all that stay are moved.
        if old >= 1_000 { known.forget(old) }
        self.known[partition] = known
        // What is read from here on comes for the first time, and copies of what was restored do not come any more.
        if let restored = restored[partition], position >= restored.end, restored.newestTime < oldest,
            restored.rejectedOffsets.allSatisfy({ $0 < position })
        {
            self.restored[partition] = nil
        }
    }

    /// Forgets partitions that went elsewhere; whoever takes them over learns it anew.
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
