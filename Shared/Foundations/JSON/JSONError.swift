/// What is wrong with a JSON text, and where.
public struct JSONError: Error, Sendable, Equatable, CustomStringConvertible {
    /// The field at fault, as in `items[3].title`; nil when it is the text as a whole.
    public var field: String?
    /// The text found there, truncated; nil where that is only the field's name.
    public var value: String?
    /// What is wrong with it and what is expected; completes a sentence that begins with the field and the value.
    public var reason: String
    /// Where in the text, in bytes counted from 1; nil where there is no single position.
    public var byte: Int?
    /// Whether the text is not valid JSON: then `value` is the text at `byte`, and not a value.
    public var isSyntax: Bool

    /// Makes an error.
    public init(
        field: String? = nil,
        value: String? = nil,
        reason: String,
        byte: Int? = nil,
        isSyntax: Bool = false
    ) {
        self.field = field
        self.value = value
        self.reason = reason
        self.byte = byte
        self.isSyntax = isSyntax
    }

    /// What is wrong and where, without field and value.
    public var reasonAndPlace: String { reason + (byte.map { " (at byte \($0))" } ?? "") }

    /// The value, what is wrong with it, and where: all but the field.
    public var detail: String {
        guard isSyntax else { return (value.map { "\($0) " } ?? "") + reasonAndPlace }
        let found = value.map { $0.isEmpty ? "the end" : Self.shown($0) }
        return reasonAndPlace + (found.map { ", found \($0)" } ?? "")
    }

    /// Such as `rating: "five" must be a number (at byte 12)`.
    public var description: String { field.map { "\($0): \(detail)" } ?? detail }

    /// The same error inside a field, as an object's reader adds it.
    public func inField(_ name: String) -> JSONError {
        var error = self
        error.field =
            switch field {
            case nil: name
            case .some(let inner) where inner.hasPrefix("["): name + inner
            case .some(let inner): "\(name).\(inner)"
            }
        return error
    }

    /// The same error inside an array's element, counted from 0.
    public func inElement(_ index: Int) -> JSONError { inField("[\(index)]") }
}

extension JSONError {
    /// The most characters of a value that an error shows.
    static let shownCount = 40

    /// A text as an error shows it: in quotes, controls escaped, cut.
    public static func shown(_ text: String) -> String {
        var shown = "\""
        for (index, scalar) in text.unicodeScalars.enumerated() {
            guard index < shownCount else { return shown + "…\"" }
            shown += scalar.escaped(asASCII: false)
        }
        return shown + "\""
    }
}
