import Bytes
import Messages
import MessageLogs

/// What the log says about the questions of a partition when it is taken over.
struct RestoredQuestions: Sendable {
    /// An answer in the log.
    struct Answered: Sendable {
        let key: QuestionKey
        /// The offset of its question.
        let offset: Int64
        /// The append time, in milliseconds since 1970.
        let time: Int64
    }

    /// Everything before this offset is done.
    let start: Int64
    /// One past the last question that has an answer; not before `start`.
    let end: Int64
    /// How many records were deleted unprocessed, because the log keeps them no longer than a question may wait.
    let goneCount: Int64
    /// Offsets of rejected records, from `start` on.
    let rejectedOffsets: Set<Int64>
    /// The time of the newest answer, in milliseconds since 1970.
    let newestTime: Int64
    /// By key.
    private let answers: [Answered]

    /// Describes a partition.
    init(start: Int64, goneCount: Int64 = 0, answers: [Answered] = [], rejectedOffsets: Set<Int64> = []) {
        self.start = start
        self.goneCount = goneCount
        self.rejectedOffsets = rejectedOffsets
        self.answers = answers.sorted { ($0.key, $0.offset) < ($1.key, $1.offset) }
        end = answers.reduce(start) { max($0, $1.offset.addingReportingOverflow(1).partialValue) }
        newestTime = answers.reduce(0) { max($0, $1.time) }
    }

    /// The answers to questions of a key.
    func answers(to key: QuestionKey) -> ArraySlice<Answered> {
        var (low, high) = (0, answers.count)
        while low < high {
            let middle = low + (high - low) / 2
            if answers[middle].key < key { low = middle + 1 } else { high = middle }
        }
        return answers[low...].prefix { $0.key == key }
    }
}

/// The progress of a partition of questions, which each answer's record carries for the next owner.
///
/// It only tells where the look-back through the answers may end. Which questions are done follows from the answers
/// themselves and from the group's offset.
struct AnswerProgress: Equatable {
    /// The header's name; its value is like `1300`, with another number before it in records of older responders.
    static let header = "question-progress"

    /// One past the last question that has an answer, this answer's commit included.
    var end: Int64

    /// Describes a partition.
    init(end: Int64) { self.end = end }

    /// Reads an answer's header; nil if it has no valid one.
    init?(_ record: Record) {
        let numbers = record.header(Self.header)?.split(separator: " ").map { Int64($0) } ?? []
        guard (1...2).contains(numbers.count), let last = numbers.last, let end = last, end >= 0 else { return nil }
        self.init(end: end)
    }

    /// The record of an answer, with its question's position in the log.
    ///
    /// - Parameters:
    ///   - answer: the answer.
    ///   - place: the position of its question.
    ///   - sharesPartitions: whether it goes to the partition with its question's number, where the next owner of
    ///     that will look for it; otherwise it goes by its key.
    /// - Returns: the record.
    /// - Throws: `MessageError` if the answer cannot be sent.
    func record(
        _ answer: Answer,
        to place: PlacedQuestion.Place,
        sharesPartitions: Bool
    ) throws(MessageError) -> OutgoingRecord {
        OutgoingRecord(
            topic: Topic.answers.rawValue,
            partition: sharesPartitions ? place.partition.partition : nil,
            key: Array(answer.user.utf8),
            value: try answer.encoded(),
            headers: [
                Header(Answer.sourceHeader, "\(place.partition.partition) \(place.offset)"),
                Header(Self.header, "\(end)"),
            ]
        )
    }
}
