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

    /// The day of a moment, in UTC and the Gregorian calendar.
    ///
    /// - Parameter milliseconds: from 1970 on; any number, such as a clock's or one that a message brought.
    /// - Throws: `ChatTemplateError.noDate` for a moment outside of the years 1 to 9999.
    public init(millisecondsSince1970 milliseconds: Int64) throws(ChatTemplateError) {
        let (quotient, remainder) = milliseconds.quotientAndRemainder(dividingBy: 86_400_000)
        // Days from the first of January of the year 1.
        let days = Int(quotient) - (remainder < 0 ? 1 : 0) + 719_162
        guard days >= 0, days < Self.days(before: 10_000) else { throw .noDate("\(milliseconds) ms since 1970") }
        // No year has more days, so this is not too late a year, and a few too early at most.
        var year = days / 366 + 1
        while Self.days(before: year + 1) <= days { year += 1 }
        var day = days - Self.days(before: year)
        let isLeap = Self.days(before: year + 1) - Self.days(before: year) == 366
        let lengths = [31, isLeap ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
        var month = 0
        while day >= lengths[month] {
            day -= lengths[month]
            month += 1
        }
        try self.init(year: year, month: month + 1, day: day + 1)
    }

    private init(text: String) { self.text = text }

    /// The day that Llama 3.1's template writes, whatever day it is.
    static let ofLlama31 = ChatDate(text: "26 Jul 2024")

    /// Days from the first of January of the year 1 to that of another year.
    private static func days(before year: Int) -> Int {
        let past = year - 1
        return past * 365 + past / 4 - past / 100 + past / 400
    }
}
