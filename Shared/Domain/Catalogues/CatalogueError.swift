internal import Bytes
internal import JSON

/// What is wrong with a catalogue, and where.
public struct CatalogueError: Error, Sendable, Equatable, CustomStringConvertible {
    /// The file; nil for a catalogue that is in none.
    public var file: String?
    /// The field, such as `items[3].title`.
    public var field: String?
    /// The value that is wrong.
    public var value: String?
    /// What is wrong with it, and what is expected.
    public var reason: String

    /// Makes an error.
    public init(file: String? = nil, field: String? = nil, value: String? = nil, reason: String) {
        self.file = file
        self.field = field
        self.value = value
        self.reason = reason
    }

    /// Such as `catalogue.json: items[3].title "7" is not a string`.
    public var description: String {
        var text = ""
        if let file { text += "\(file): " }
        if let field { text += "\(field) " }
        if let value { text += "\"\(value.prefix(80))\" " }
        return ControlCharacters.escaped(text + reason)
    }

    /// What is wrong with a JSON text.
    init(_ error: JSONError) {
        self.init(field: error.field, value: error.value, reason: error.reasonAndPlace)
    }
}
