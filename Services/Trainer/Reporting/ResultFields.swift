import JSON
import ServiceRuntime
import Tensors

/// The fields of a result that a command printed with `--json`; errors name the file and the field.
struct ResultFields: Sendable {
    /// The file.
    let file: String
    /// Where the object is in the file, such as `lengths[2].`; empty for the whole.
    private let place: String
    let object: JSONObject

    /// The most bytes of a result.
    private static let byteCount = 1 << 20
    /// The most values in a result.
    private static let valueCount = 20_000

    /// Reads a file.
    ///
    /// - Throws: `ProcessFailure` naming the file and why it is no result.
    init(contentsOf file: String) throws {
        do {
            let bytes = Array(try FileBytes.contents(file, atMost: Self.byteCount))
            let value = try JSONValue(parsing: bytes, maximumCount: Self.valueCount)
            guard case .object(let object) = value else {
                throw JSONError(value: value.shown, reason: "must be an object")
            }
            (self.file, place, self.object) = (file, "", object)
        } catch let error as FileBytes.Failure {
            throw ProcessFailure("\(error)", exitCode: .badInput)
        } catch {
            throw ProcessFailure(
                "\(file) is not what `trainer evaluate` or `trainer efficiency` writes with --json: \(error); "
                    + "run the command again, or leave the file out",
                exitCode: .badInput
            )
        }
    }

    private init(file: String, place: String, object: JSONObject) {
        (self.file, self.place, self.object) = (file, place, object)
    }

    /// Whether there is a field of this name.
    func has(_ name: String) -> Bool { object[name] != nil }

    /// A text; nil if the field is missing or null.
    ///
    /// - Throws: `ProcessFailure` naming the field if it is something else.
    func text(_ name: String) throws -> String? {
        switch object[name] {
        case nil, .null?: return nil
        case .string(let text)?: return text
        case let value?: throw failure(name, value, "a text")
        }
    }

    /// True or false; nil if the field is missing or null.
    ///
    /// - Throws: `ProcessFailure` naming the field if it is something else.
    func truth(_ name: String) throws -> Bool? {
        switch object[name] {
        case nil, .null?: return nil
        case .bool(let truth)?: return truth
        case let value?: throw failure(name, value, "true or false")
        }
    }

    /// A number; nil if the field is missing or null.
    ///
    /// - Throws: `ProcessFailure` naming the field if it is something else, or out of range.
    func number(_ name: String, in range: ClosedRange<Double>) throws -> Double? {
        switch object[name] {
        case nil, .null?: return nil
        case .number(let text)?:
            if let number = text.double, range.contains(number) { return number }
        default: break
        }
        throw failure(name, object[name] ?? .null, "a number from \(range.lowerBound) to \(range.upperBound)")
    }

    /// A whole number; nil if the field is missing or null.
    ///
    /// - Throws: `ProcessFailure` naming the field if it is something else, or out of range.
    func whole(_ name: String, in range: ClosedRange<Int>) throws -> Int? {
        switch object[name] {
        case nil, .null?: return nil
        case .number(let text)?:
            if let number = text.integer.flatMap({ Int(exactly: $0) }), range.contains(number) { return number }
        default: break
        }
        throw failure(name, object[name] ?? .null, "a whole number from \(range.lowerBound) to \(range.upperBound)")
    }

    /// The objects of an array, at least one.
    ///
    /// - Throws: `ProcessFailure` naming the field or the element that is something else.
    func objects(_ name: String) throws -> [ResultFields] {
        guard case .array(let elements)? = object[name], !elements.isEmpty else {
            throw failure(name, object[name] ?? .null, "a list of objects")
        }
        return try elements.enumerated().map { index, element in
            guard case .object(let object) = element else { throw failure("\(name)[\(index)]", element, "an object") }
            return ResultFields(file: file, place: "\(place)\(name)[\(index)].", object: object)
        }
    }

    /// The value of a field that must be there.
    ///
    /// - Throws: `ProcessFailure` naming the field if the value is nil.
    func required<Value>(_ name: String, _ value: Value?) throws -> Value {
        guard let value else {
            throw ProcessFailure("\(file): \(place)\(name) is missing; \(Self.advice)", exitCode: .badInput)
        }
        return value
    }

    private func failure(_ name: String, _ value: JSONValue, _ expected: String) -> ProcessFailure {
        ProcessFailure(
            "\(file): \(place)\(name) is \(value.shown), expected \(expected); \(Self.advice)",
            exitCode: .badInput
        )
    }

    private static let advice = "run the command that wrote the file again, or leave the file out"
}
