internal import Bytes

/// What is wrong with a data set, and where.
public struct DatasetError: Error, Sendable, Equatable, CustomStringConvertible {
    /// The file or folder.
    public var file: String?
    /// The line, counted from 1.
    public var line: Int?
    /// The field.
    public var field: String?
    /// The value that is wrong.
    public var value: String?
    /// What is wrong with it, and what is expected.
    public var reason: String

    /// Makes an error.
    public init(file: String? = nil, line: Int? = nil, field: String? = nil, value: String? = nil, reason: String) {
        self.file = file
        self.line = line
        self.field = field
        self.value = value
        self.reason = reason
    }

    /// For example `ratings.dat:12: rating "x" is not a number from 0 to 10`.
    public var description: String {
        var text = ""
        if let file { text += line.map { "\(file):\($0): " } ?? "\(file): " }
        if let field { text += "\(field) " }
        if let value { text += "\"\(value.prefix(80))\" " }
        return ControlCharacters.escaped(text + reason)
    }

    /// The error for a field that occurs twice in an object: JSON readers differ in which one they take.
    static func givenTwice(_ field: String) -> DatasetError {
        DatasetError(field: field, reason: "is given twice in one object; keep one")
    }

    /// Adds advice when a value is one of Python's that JSON does not have.
    func advised() -> DatasetError {
        guard let value, ["NaN", "Infinity", "-Infinity", "nan"].contains(where: value.hasPrefix) else { return self }
        var error = self
        error.reason += "; NaN and Infinity stand for no value: write null in JSON, and leave the line out of a table"
        return error
    }
}
