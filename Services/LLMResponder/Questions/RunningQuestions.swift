import Messages
import MessageLogs

/// The questions that are being answered.
///
/// Each is also still in the log, and no offset after it is committed: the next owner of its partition reads it again.
struct RunningQuestions {
    /// A question and what its answer needs to know.
    struct Entry: Sendable {
        let question: PlacedQuestion
        /// When the question was taken.
        let start: ContinuousClock.Instant
        /// When the model got it.
        let submitted: ContinuousClock.Instant
        /// Events of the user's row; nil without a row.
        let eventCount: UInt64?
    }

    private var entries: [Responder.Ticket: Entry] = [:]
    private var keys: Set<QuestionKey> = []

    /// How many there are.
    var count: Int { entries.count }

    /// Whether the same question is being answered.
    func contains(_ key: QuestionKey) -> Bool { keys.contains(key) }

    /// The lowest offset of a partition.
    func first(in partition: TopicPartition) -> Int64? {
        entries.values.lazy.map(\.question.place).filter { $0.partition == partition }.map(\.offset).min()
    }

    /// Adds a question.
    mutating func insert(_ entry: Entry, as ticket: Responder.Ticket) {
        entries[ticket] = entry
        keys.insert(entry.question.key)
    }

    /// Removes a question whose answer has ended; nil when it was dropped before.
    mutating func remove(_ ticket: Responder.Ticket) -> Entry? {
        guard let entry = entries.removeValue(forKey: ticket) else { return nil }
        keys.remove(entry.question.key)
        return entry
    }

    /// Drops the questions of partitions that were reassigned, or all; their answers are to be cancelled.
    mutating func drop(_ isDropped: (TopicPartition) -> Bool) -> [Responder.Ticket] {
        let tickets = entries.filter { isDropped($0.value.question.place.partition) }.map(\.key)
        for ticket in tickets { _ = remove(ticket) }
        return tickets
    }
}
