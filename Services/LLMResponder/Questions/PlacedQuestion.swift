import Bytes
import Messages
import MessageLogs

/// A question and its position in the log.
struct PlacedQuestion: Sendable {
    /// The position of a question.
    struct Place: Hashable, Sendable {
        let partition: TopicPartition
        let offset: Int64
    }

    let place: Place
    let question: Question
    /// Identifies the question.
    let key: QuestionKey
    /// The deadline, in milliseconds since 1970.
    let due: Int64

    init(_ question: Question, in record: Record, now: Int64) {
        place = Place(partition: record.source, offset: record.offset)
        self.question = question
        key = QuestionKey(question)
        due = question.due(appendedAt: record.timestamp, now: now)
    }

    /// Its user's id.
    var user: UserID { question.user }

    /// Its approximate memory use.
    var byteCount: Int {
        let stops = question.stop.reduce(0) { $0 + $1.utf8.count }
        return question.conversationByteCount + stops + question.user.utf8.count + question.id.utf8.count + 512
    }
}

/// Identifies a question within this process, because two users may have chosen the same id.
struct QuestionKey: Hashable, Comparable, Sendable {
    /// 64 bits of both, from a hash that nobody outside can predict.
    private let bits: Int

    init(_ question: Question) { self.init(user: question.user, id: question.id) }

    init(_ answer: Answer) { self.init(user: answer.user, id: answer.questionID) }

    private init(user: UserID, id: QuestionID) {
        var hasher = Hasher()
        hasher.combine(user)
        hasher.combine(id)
        bits = hasher.finalize()
    }

    static func < (a: QuestionKey, b: QuestionKey) -> Bool { a.bits < b.bits }
}
