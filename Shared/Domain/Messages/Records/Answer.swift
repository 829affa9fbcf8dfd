public import Bytes

/// The one final answer to a question.
///
/// Topic `answers`; key: the user's id. Written by the LLM responder, read by the gateway and any consumer.
public struct Answer: Sendable, Equatable {
    /// How a question ended.
    public enum Status: String, Sendable, CaseIterable {
        /// Answered from the user's row.
        case answered
        /// Answered without a row: the user has no events yet.
        case noHistory = "no-history"
        /// The deadline passed first; there is no text.
        case expired
        /// It could not be answered; `reason` says why.
        case failed
    }

    /// Why a text ended.
    public enum Finish: String, Sendable, CaseIterable {
        /// The model ended it, or one of the question's stop texts came.
        case stop
        /// It reached the most tokens that the question asked for, or the end of the model's context.
        case length
    }

    /// An item with the model's log-probability of its title.
    public struct Item: Sendable, Equatable {
        /// The item's id.
        public var id: ItemID
        /// Its title.
        public var title: String
        /// Natural logarithm of the title's probability among all titles, where it stands.
        public var score: Float

        /// Makes a ranked item.
        public init(id: ItemID, title: String, score: Float) {
            self.id = id
            self.title = title
            self.score = score
        }
    }

    /// The question's id.
    public var questionID: QuestionID
    /// The user it was about.
    public var user: UserID
    /// How it ended.
    public var status: Status
    /// The answer; empty when there is none.
    public var text: String
    /// Ranked items, best first, when the answer is a title; those that a text with titles names, once each, in the order
    /// in which it names them.
    public var items: [Item]
    /// Why there is no answer; empty when there is one.
    public var reason: String
    /// The model bundle that answered.
    public var modelVersion: String
    /// How many of the user's events the answer takes into account.
    public var eventCount: UInt64
    /// When the question was asked, in milliseconds since 1970.
    public var askedAt: Int64
    /// When the answer was ready, in milliseconds since 1970.
    public var answeredAt: Int64
    /// Microseconds from receiving the question to its first token.
    public var firstTokenMicroseconds: UInt64
    /// Microseconds from receiving the question to the end of the answer.
    public var computeMicroseconds: UInt64
    /// How many tokens the model read before it wrote the first one; 0 when it is unknown.
    public var promptTokens: UInt32
    /// How many tokens the model wrote; 0 when it is unknown.
    public var answerTokens: UInt32
    /// Why the text ended; nil when it does not apply, as for an answer that is held to the catalogue, and for none.
    public var finish: Finish?

    /// Makes an answer.
    public init(
        questionID: QuestionID,
        user: UserID,
        status: Status,
        text: String = "",
        items: [Item] = [],
        reason: String = "",
        modelVersion: String = "",
        eventCount: UInt64 = 0,
        askedAt: Int64,
        answeredAt: Int64,
        firstTokenMicroseconds: UInt64 = 0,
        computeMicroseconds: UInt64 = 0,
        promptTokens: UInt32 = 0,
        answerTokens: UInt32 = 0,
        finish: Finish? = nil
    ) {
        self.questionID = questionID
        self.user = user
        self.status = status
        self.text = text
        self.items = items
        self.reason = reason
        self.modelVersion = modelVersion
        self.eventCount = eventCount
        self.askedAt = askedAt
        self.answeredAt = answeredAt
        self.firstTokenMicroseconds = firstTokenMicroseconds
        self.computeMicroseconds = computeMicroseconds
        self.promptTokens = promptTokens
        self.answerTokens = answerTokens
        self.finish = finish
    }
}

extension Answer {
    /// The header of an answer's record with its question's position in `questions`: partition and offset, as in `3
    /// 1207`.
    ///
    /// A responder that takes over a partition of questions learns from it which of them are answered.
    public static let sourceHeader = "question-source"
}

/// One piece of an answer while it is being written; best effort.
///
/// Topic `answer-tokens`; key: the user's id. Written by the LLM responder, read by the gateway.
public struct AnswerToken: Sendable, Equatable {
    /// The question's id.
    public var questionID: QuestionID
    /// 0 for the first piece.
    public var position: UInt32
    /// The piece's text.
    public var text: String

    /// Makes a piece of an answer.
    public init(questionID: QuestionID, position: UInt32, text: String) {
        self.questionID = questionID
        self.position = position
        self.text = text
    }
}
