public import Bytes

/// A question about, or from, one user.
///
/// Topic `questions`; key: the user's id. Written by the gateway or any Kafka producer, read by the LLM responder.
///
/// A conversation (`system` and `turns`) may come before a question of any form. The filters and penalties of sampling
/// (`topK` to `frequencyPenalty`) and `stop` are for free text: an answer of another form is searched for among the
/// catalogue's names and would have to pass over them in silence, so a question that has one of them is refused.
public struct Question: Sendable, Equatable {
    /// What an answer may be.
    public enum AnswerForm: String, Sendable, CaseIterable {
        /// A title of the catalogue or the name of a category, whichever the model finds likelier.
        case known
        /// A title of the catalogue; the answer has a ranked list of items.
        case title
        /// The name of a category.
        case category
        /// Any text.
        case text
        /// Any text, in which the titles that the model marks as such are titles of the catalogue; the answer lists them.
        case textWithTitles = "text-with-titles"

        /// Whether the model writes freely.
        public var isText: Bool { self == .text || self == .textWithTitles }
    }

    /// One message of the conversation that led to a question.
    public struct Turn: Sendable, Equatable {
        /// Who wrote a message.
        public enum Role: String, Sendable, CaseIterable {
            /// The person who asks.
            case user
            /// The model, in an earlier answer.
            case assistant
        }

        /// Who wrote it.
        public var role: Role
        /// What was written; may be empty.
        public var text: String

        /// Makes a message.
        public init(role: Role, text: String) {
            self.role = role
            self.text = text
        }
    }

    /// Unique; the answer names it.
    public var id: QuestionID
    /// The user it is about.
    public var user: UserID
    /// The question as a person asked it: the last turn of the conversation.
    public var text: String
    /// What a chat model is told before the conversation; nil leaves it to the model's own default, and an empty text
    /// replaces that default.
    public var system: String?
    /// The conversation before `text`, oldest first; at most `Limits.turnCount` turns.
    public var turns: [Turn]
    /// What the answer may be.
    public var form: AnswerForm
    /// How many items to rank when the answer is a title.
    public var itemCount: Int
    /// The most tokens of a text answer.
    public var maximumTokens: Int
    /// 0 takes the likeliest token; greater values sample.
    public var temperature: Float
    /// Seed of the sampling; the same question with the same seed and row gives the same answer.
    public var seed: UInt64
    /// Only this many of the likeliest tokens are sampled from; 0 is all of them.
    public var topK: Int
    /// Only the fewest of the likeliest tokens whose probabilities together reach this are sampled from, above 0 to 1;
    /// 1 is all of them.
    public var topP: Float
    /// Only tokens that are at least this share as probable as the likeliest one are sampled from, 0 to 1; 0 is all of
    /// them.
    public var minP: Float
    /// Positive logits of tokens that have occurred in prompt or answer are divided by this and negative ones
    /// multiplied, 0.01 to 100; 1 changes nothing.
    public var repetitionPenalty: Float
    /// Is subtracted from the logits of tokens that have occurred in the answer, -2 to 2; 0 changes nothing.
    public var presencePenalty: Float
    /// Is subtracted from a token's logit as many times as it has occurred in the answer, -2 to 2; 0 changes nothing.
    public var frequencyPenalty: Float
    /// Texts at which the answer ends, without them; at most `Limits.stopCount` of 1 to `Limits.stopByteCount` bytes.
    public var stop: [String]
    /// Whether items that the user has had may be in the answer; they are left out otherwise.
    ///
    /// It is about titles: the names of categories and free text are not affected.
    public var includesSeen: Bool
    /// The answer must take at least this many of the user's events into account (read your own writes).
    public var minimumEventCount: UInt64
    /// When it was asked, in milliseconds since 1970.
    public var askedAt: Int64
    /// After this time, in milliseconds since 1970, the answer is "expired".
    public var deadline: Int64

    /// Makes a question.
    public init(
        id: QuestionID,
        user: UserID,
        text: String,
        system: String? = nil,
        turns: [Turn] = [],
        form: AnswerForm = .known,
        itemCount: Int = 10,
        maximumTokens: Int = 32,
        temperature: Float = 0,
        seed: UInt64 = 0,
        topK: Int = 0,
        topP: Float = 1,
        minP: Float = 0,
        repetitionPenalty: Float = 1,
        presencePenalty: Float = 0,
        frequencyPenalty: Float = 0,
        stop: [String] = [],
        includesSeen: Bool = false,
        minimumEventCount: UInt64 = 0,
        askedAt: Int64,
        deadline: Int64
    ) {
        self.id = id
        self.user = user
        self.text = text
        self.system = system
        self.turns = turns
        self.form = form
        self.itemCount = itemCount
        self.maximumTokens = maximumTokens
        self.temperature = temperature
        self.seed = seed
        self.topK = topK
        self.topP = topP
        self.minP = minP
        self.repetitionPenalty = repetitionPenalty
        self.presencePenalty = presencePenalty
        self.frequencyPenalty = frequencyPenalty
        self.stop = stop
        self.includesSeen = includesSeen
        self.minimumEventCount = minimumEventCount
        self.askedAt = askedAt
        self.deadline = deadline
    }

    /// UTF-8 bytes of the whole conversation: the system prompt, the turns and the text.
    public var conversationByteCount: Int {
        turns.reduce(text.utf8.count + (system?.utf8.count ?? 0)) { $0 + $1.text.utf8.count }
    }

    /// When the question ends without an answer: at its deadline, but at most `Limits.waitingMilliseconds` after it
    /// arrived.
    ///
    /// - Parameters:
    ///   - appendedAt: when the log appended it, in milliseconds since 1970. Its producer may have chosen this, so a
    ///     time in the future, or an invalid one, counts as now.
    ///   - now: the current time, in milliseconds since 1970.
    /// - Returns: milliseconds since 1970.
    public func due(appendedAt: Int64, now: Int64) -> Int64 {
        let start = (1...max(1, now)).contains(appendedAt) ? appendedAt : now
        let (end, isTooLate) = start.addingReportingOverflow(Limits.waitingMilliseconds)
        return isTooLate ? deadline : min(deadline, end)
    }
}
