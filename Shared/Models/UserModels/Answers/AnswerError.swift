/// Why a question cannot be answered.
public enum AnswerError: Error, Sendable, Equatable, CustomStringConvertible {
    /// The context has a different size than the model expects.
    case contextSize(found: Int, rows: Int, columns: Int)
    /// The user's pooled vector has a different width than the encoder's head.
    case pooledSize(found: Int, columns: Int)
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
    /// Its own deadline passed before the answer was complete.
    case deadline
    /// Too many others are being answered, which says nothing about the question.
    case busy(String)
    /// The answer was cancelled, which says nothing about the question.
    case cancelled
    /// The model cannot compute the answer, for this reason.
    case failed(String)

    /// What is wrong and what to do.
    public var description: String {
        switch self {
        case .contextSize(let found, let rows, let columns):
            "the context has \(found) numbers, the model reads \(rows) x \(columns): encode the user with this bundle"
        case .pooledSize(let found, let columns):
            "the pooled vector has \(found) numbers, the encoder's head reads \(columns): encode the user with this bundle"
        case .questionTooLong(let tokens, let limit):
            "the question has \(tokens) tokens, at most \(limit) fit: ask a shorter one"
        case .invalid(let field, let value, let expected):
            "\(field) is \(value), expected \(expected)"
        case .nothingLeft:
            "every possible answer is excluded, or the user has had it: exclude fewer items, or ask with include_seen"
        case .tooLong(let excess, let limit):
            "\(excess.field) is \(excess.value), which takes longer than the \(limit) that one answer may be computed: "
                + excess.advice
        case .tooLarge(let excess, let byteLimit):
            "\(excess.field) is \(excess.value), which takes more than the \(Self.size(byteLimit)) of memory that one "
                + "answer may have: \(excess.advice)"
        case .deadline:
            "the deadline passed before the answer was complete"
        case .busy(let reason):
            "too many questions are being answered, \(reason): ask again later"
        case .cancelled:
            "the answer was not computed to its end"
        case .failed(let reason):
            "the answer cannot be computed: \(reason)"
        }
    }

    private static func size(_ byteCount: Int) -> String {
        byteCount >= 1 << 20 ? "\(byteCount >> 20) MiB" : "\(byteCount) bytes"
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
