public import Bytes

/// A question about, or from, one user.
///
/// Topic `questions`; key: the user's id. Written by the gateway or any Kafka producer, read by the LLM responder.
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
    }

    /// Unique; the answer names it.
    public var id: QuestionID
    /// The user it is about.
    public var user: UserID
    /// The question as a person asked it.
    public var text: String
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
        form: AnswerForm = .known,
        itemCount: Int = 10,
        maximumTokens: Int = 32,
        temperature: Float = 0,
        seed: UInt64 = 0,
        minimumEventCount: UInt64 = 0,
        askedAt: Int64,
        deadline: Int64
    ) {
        self.id = id
        self.user = user
        self.text = text
        self.form = form
        self.itemCount = itemCount
        self.maximumTokens = maximumTokens
        self.temperature = temperature
        self.seed = seed
        self.minimumEventCount = minimumEventCount
        self.askedAt = askedAt
        self.deadline = deadline
    }

    /// How a question is to be answered; what is not said has a default.
    public struct Options: Sendable {
        /// The form of the answer.
        public var form = AnswerForm.known
        /// How many items to rank when the answer is a title.
        public var itemCount = 10
        /// The most tokens of a text answer.
        public var maximumTokens = 32
        /// 0 takes the likeliest token; greater values sample.
        public var temperature: Float = 0
        /// Seed of the sampling.
        public var seed: UInt64 = 0
        /// How many of the user's events the answer must take into account at least.
        public var minimumEventCount: UInt64 = 0

        /// The defaults.
        public init() {}
    }

    /// Makes a question with options that were read one by one.
    public init(id: QuestionID, user: UserID, text: String, options: Options, askedAt: Int64, deadline: Int64) {
        self.init(
            id: id,
            user: user,
            text: text,
            form: options.form,
            itemCount: options.itemCount,
            maximumTokens: options.maximumTokens,
            temperature: options.temperature,
            seed: options.seed,
            minimumEventCount: options.minimumEventCount,
            askedAt: askedAt,
            deadline: deadline
        )
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
