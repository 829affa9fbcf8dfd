/// Who says a message.
public enum ChatRole: String, Sendable, CaseIterable {
    /// Says how the assistant shall behave; usually the first message.
    case system
    /// The one who asks.
    case user
    /// The model.
    case assistant
}

/// One turn of a conversation.
public struct ChatMessage: Sendable, Equatable {
    /// Who says it.
    public var role: ChatRole
    /// What is said; always text, whatever marks it contains.
    public var content: String

    /// Makes a message.
    public init(_ role: ChatRole, _ content: String) {
        self.role = role
        self.content = content
    }
}

/// A part of a rendered conversation.
public enum ChatPiece: Sendable, Equatable {
    /// A mark that the template writes, such as `<|im_end|>`: one token where the tokenizer has it.
    case mark(String)
    /// Ordinary text: the template's own and what the messages say.
    case text(String)

    /// The text of either.
    public var text: String {
        switch self {
        case .mark(let text), .text(let text): text
        }
    }
}

/// A day as chat templates write it: `26 Jul 2024`.
public struct ChatDate: Sendable, Equatable {
    private static let months = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ]

    /// The day: two digits, an English month of three letters, four digits (`%d %b %Y`).
    public let text: String

    /// Makes a day.
    ///
    /// - Parameters:
    ///   - year: from 1 to 9999.
    ///   - month: from 1 to 12.
    ///   - day: from 1 to 31; whether the month has it is not checked.
    /// - Throws: `ChatTemplateError.noDate` for other numbers.
    public init(year: Int, month: Int, day: Int) throws(ChatTemplateError) {
        guard (1...9_999).contains(year), (1...12).contains(month), (1...31).contains(day) else {
            throw .noDate("\(year)-\(month)-\(day)")
        }
        let digits = String(year)
        let padded = String(repeating: "0", count: 4 - digits.count) + digits
        text = (day < 10 ? "0\(day)" : "\(day)") + " \(Self.months[month - 1]) \(padded)"
    }

    private init(text: String) { self.text = text }

    /// The day that Llama 3.1's templates write when they are given none.
    public static let ofLlama = ChatDate(text: "26 Jul 2024")
}
