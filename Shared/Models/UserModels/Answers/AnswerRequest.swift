public import Bytes
public import Messages

/// A question to an answering engine.
public struct AnswerRequest: Sendable, Equatable {
    /// The question as a person asked it.
    public var text: String
    /// The form of the answer.
    public var form: Question.AnswerForm
    /// How many items to rank when the answer is a title.
    public var itemCount: Int
    /// The most tokens of a text answer.
    public var maximumTokens: Int
    /// 0 takes the most likely answer; greater values sample.
    public var temperature: Float
    /// Seed of the sampling.
    public var seed: UInt64
    /// Ids of items that may not be the answer, such as those the user has seen; nil allows all.
    public var excludedItems: Set<ItemID>?

    /// Makes a request.
    public init(
        text: String,
        form: Question.AnswerForm = .known,
        itemCount: Int = 10,
        maximumTokens: Int = 32,
        temperature: Float = 0,
        seed: UInt64 = 0,
        excludedItems: Set<ItemID>? = nil
    ) {
        self.text = text
        self.form = form
        self.itemCount = itemCount
        self.maximumTokens = maximumTokens
        self.temperature = temperature
        self.seed = seed
        self.excludedItems = excludedItems
    }

    /// Takes what the engine needs from a question.
    public init(_ question: Question) {
        self.init(
            text: question.text,
            form: question.form,
            itemCount: question.itemCount,
            maximumTokens: question.maximumTokens,
            temperature: question.temperature,
            seed: question.seed
        )
    }
}

/// The result of an answering engine.
public struct GeneratedAnswer: Sendable, Equatable {
    /// The answer.
    public let text: String
    /// Ranked items, best first, when the answer is a title; a score is the natural logarithm of the title's
    /// probability among all allowed answers.
    public let items: [Answer.Item]
    /// From the call to the first piece of the answer.
    public let firstToken: Duration
    /// From the call to the end.
    public let total: Duration
}

/// Why a question cannot be answered.
public enum AnswerError: Error, Sendable, Equatable, CustomStringConvertible {
    /// The context has a different size than the model expects.
    case contextSize(found: Int, rows: Int, columns: Int)
    /// The question has too many tokens.
    case questionTooLong(tokens: Int, limit: Int)
    /// A value of the request is out of range.
    case invalid(field: String, value: String, expected: String)
    /// There is nothing left to answer with: every title is excluded.
    case nothingLeft
    /// The answer exceeded the time limit.
    case tooLong(AnswerExcess, limit: Duration)
    /// The answer would exceed the memory limit.
    case tooLarge(AnswerExcess, byteLimit: Int)
    /// The task was cancelled during the computation, which says nothing about the question.
    case cancelled

    /// What is wrong and what to do.
    public var description: String {
        switch self {
        case .contextSize(let found, let rows, let columns):
            "the context has \(found) numbers, the model reads \(rows) x \(columns): encode the user with this bundle"
        case .questionTooLong(let tokens, let limit):
            "the question has \(tokens) tokens, at most \(limit) fit: ask a shorter one"
        case .invalid(let field, let value, let expected):
            "\(field) is \(value), expected \(expected)"
        case .nothingLeft:
            "every possible answer is excluded: exclude fewer items"
        case .tooLong(let excess, let limit):
            "\(excess.field) is \(excess.value), which takes longer than the \(limit) that one answer may be computed: "
                + excess.advice
        case .tooLarge(let excess, let byteLimit):
            "\(excess.field) is \(excess.value), which takes more than the \(byteLimit >> 20) MiB of memory that one answer "
                + "may have: \(excess.advice)"
        case .cancelled:
            "the answer was not computed to its end"
        }
    }
}

/// The part of a request that exceeds the limits of one answer.
public struct AnswerExcess: Sendable, Equatable {
    /// The name of the question's field.
    public var field: String
    /// Its value, or the size of the value.
    public var value: String
    /// Roughly how much would fit; nil when it is unknown, or when no value would fit.
    public var fitting: Int?

    /// Describes a field.
    public init(field: String, value: String, fitting: Int? = nil) {
        self.field = field
        self.value = value
        self.fitting = fitting
    }

    var advice: String {
        guard let fitting else { return "ask a shorter question, or for less" }
        return "about \(fitting) would fit"
    }
}
