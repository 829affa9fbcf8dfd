import Bytes
import Foundation

/// The keys of a GGUF file and where their values lie; a value is read when it is asked for.
///
/// - Source: ggml-org/ggml, `docs/gguf.md`.
public struct GGUFMetadata: Sendable {
    /// The type of a value, by its number in the file.
    enum ValueType: UInt32, Sendable {
        case uint8 = 0
        case int8, uint16, int16, uint32, int32, float32, bool, string, array, uint64, int64, float64

        /// Bytes of a value; nil for strings and arrays.
        var byteCount: Int? {
            switch self {
            case .uint8, .int8, .bool: 1
            case .uint16, .int16: 2
            case .uint32, .int32, .float32: 4
            case .uint64, .int64, .float64: 8
            case .string, .array: nil
            }
        }
    }

    private struct Entry: Sendable {
        let type: ValueType
        /// The elements' type and count of an array.
        let elements: (type: ValueType, count: Int)?
        /// The value's bytes: of a string without its length, of an array without type and count.
        let range: Range<Int>
    }

    private static let mostKeys = 65_536
    private static let longestKey = 65_535
    private static let deepestArray = 4

    /// The keys, in the file's order.
    public private(set) var keys: [String] = []
    private var entries: [TextKey: Entry] = [:]
    private let content: Data
    private let path: String

    /// Reads the keys, of which there are `count`, and passes over their values.
    init(_ cursor: inout GGUFCursor, count: Int, content: Data) throws(ModelFileError) {
        self.content = content
        path = cursor.path
        guard count <= Self.mostKeys else {
            throw cursor.malformed("it has \(count) keys, expected at most \(Self.mostKeys)")
        }
        for index in 0..<count {
            let place = try cursor.string(atMost: Self.longestKey, for: "key \(index)")
            let key = try cursor.text(place, of: "key \(index)")
            let entry = try Self.entry(&cursor, key)
            guard entries.updateValue(entry, forKey: TextKey(key)) == nil else {
                throw cursor.malformed("it has the key \(key) twice")
            }
            keys.append(key)
        }
    }

    private static func entry(_ cursor: inout GGUFCursor, _ key: String) throws(ModelFileError) -> Entry {
        let type = try type(&cursor, key)
        switch type {
        case .string:
            return Entry(type: type, elements: nil, range: try cursor.string(for: key))
        case .array:
            let element = try self.type(&cursor, key)
            let count = try cursor.count(ofAtLeast: element.byteCount ?? 8, for: "the number of elements of \(key)")
            let start = cursor.place
            try pass(&cursor, element, count, key, depth: 1)
            return Entry(type: type, elements: (element, count), range: start..<cursor.place)
        default:
            return Entry(type: type, elements: nil, range: try cursor.take(type.byteCount ?? 0, for: key))
        }
    }

    private static func type(_ cursor: inout GGUFCursor, _ key: String) throws(ModelFileError) -> ValueType {
        let number = try cursor.integer(UInt32.self, for: "the type of \(key)")
        guard let type = ValueType(rawValue: number) else {
            throw cursor.malformed("\(key) has the type \(number), expected 0 to 12")
        }
        return type
    }

    /// Passes over the elements of an array.
    private static func pass(
        _ cursor: inout GGUFCursor,
        _ type: ValueType,
        _ count: Int,
        _ key: String,
        depth: Int
    ) throws(ModelFileError) {
        if let size = type.byteCount {
            // The count was compared with the rest of the file, so the product fits.
            _ = try cursor.take(count * size, for: key)
            return
        }
        guard depth < deepestArray || type == .string else {
            throw cursor.malformed("\(key) has arrays within arrays, more than \(deepestArray) deep")
        }
        for _ in 0..<count {
            if type == .string {
                _ = try cursor.string(for: "a string of \(key)")
            } else {
                let element = try self.type(&cursor, key)
                let inner = try cursor.count(ofAtLeast: element.byteCount ?? 8, for: "the elements of \(key)")
                try pass(&cursor, element, inner, key, depth: depth + 1)
            }
        }
    }

    // MARK: - Values

    /// Whether there is a value.
    public func contains(_ key: String) -> Bool { entries[TextKey(key)] != nil }

    /// A whole number of any of the integer types; nil when the key is absent.
    ///
    /// - Throws: `ModelFileError.unsupported` for a value of another type, or one above `Int.max`.
    public func integer(_ key: String) throws(ModelFileError) -> Int? {
        guard let entry = entries[TextKey(key)] else { return nil }
        guard let value = integer(entry.type, at: entry.range.lowerBound) else {
            throw mismatch(key, "a whole number up to \(Int.max)")
        }
        return value
    }

    /// A number of any type; nil when the key is absent.
    ///
    /// - Throws: `ModelFileError.unsupported` for a value that is no number.
    public func number(_ key: String) throws(ModelFileError) -> Float? {
        guard let entry = entries[TextKey(key)] else { return nil }
        if let value = integer(entry.type, at: entry.range.lowerBound) { return Float(value) }
        switch entry.type {
        case .float32: return Float(bitPattern: load(entry.range.lowerBound))
        case .float64: return Float(Double(bitPattern: load(entry.range.lowerBound)))
        default: throw mismatch(key, "a number")
        }
    }

    /// True or false; nil when the key is absent.
    ///
    /// - Throws: `ModelFileError.unsupported` for a value of another type, or a byte that is neither 0 nor 1.
    public func bool(_ key: String) throws(ModelFileError) -> Bool? {
        guard let entry = entries[TextKey(key)] else { return nil }
        // The type first: an empty string at the end of a file has no byte to load.
        guard entry.type == .bool else { throw mismatch(key, "true or false") }
        let byte: UInt8 = load(entry.range.lowerBound)
        guard byte <= 1 else { throw mismatch(key, "true or false") }
        return byte == 1
    }

    /// A string; nil when the key is absent.
    ///
    /// - Throws: `ModelFileError.unsupported` for a value of another type, `.malformed` for one that is not UTF-8.
    public func string(_ key: String) throws(ModelFileError) -> String? {
        guard let entry = entries[TextKey(key)] else { return nil }
        guard entry.type == .string else { throw mismatch(key, "a string") }
        return try withCursor { (cursor) throws(ModelFileError) in try cursor.text(entry.range, of: key) }
    }

    /// An array of strings; nil when the key is absent.
    ///
    /// - Throws: `ModelFileError.unsupported` for a value of another type or more than `limit` strings, `.malformed` for
    ///   one that is not UTF-8.
    public func strings(_ key: String, atMost limit: Int) throws(ModelFileError) -> [String]? {
        guard let entry = entries[TextKey(key)] else { return nil }
        guard let elements = entry.elements, elements.type == .string, elements.count <= limit else {
            throw mismatch(key, "an array of at most \(limit) strings")
        }
        return try withCursor { (cursor) throws(ModelFileError) in
            _ = try cursor.take(entry.range.lowerBound, for: key)
            var strings: [String] = []
            strings.reserveCapacity(elements.count)
            for index in 0..<elements.count {
                let range = try cursor.string(for: "\(key)[\(index)]")
                strings.append(try cursor.text(range, of: "\(key)[\(index)]"))
            }
            return strings
        }
    }

    /// An array of whole numbers; nil when the key is absent.
    ///
    /// - Throws: `ModelFileError.unsupported` for a value of another type or more than `limit` numbers.
    public func integers(_ key: String, atMost limit: Int) throws(ModelFileError) -> [Int]? {
        guard let entry = entries[TextKey(key)] else { return nil }
        guard let elements = entry.elements, let size = elements.type.byteCount, elements.count <= limit else {
            throw mismatch(key, "an array of at most \(limit) whole numbers")
        }
        var integers: [Int] = []
        integers.reserveCapacity(elements.count)
        for index in 0..<elements.count {
            guard let value = integer(elements.type, at: entry.range.lowerBound + index * size) else {
                throw mismatch(key, "an array of whole numbers up to \(Int.max)")
            }
            integers.append(value)
        }
        return integers
    }

    /// A value as an error shows it; `missing` when the key is absent.
    func shown(_ key: String) -> String {
        guard let entry = entries[TextKey(key)] else { return "missing" }
        if let elements = entry.elements { return "an array of \(elements.count) values of type \(elements.type)" }
        if let value = integer(entry.type, at: entry.range.lowerBound) { return "\(value)" }
        switch entry.type {
        // Of a string as much as fits a line; it has the right type, so that asking for it cannot come back here.
        case .string: return (try? string(key)).map { String($0.prefix(60)) } ?? "a string that is not UTF-8"
        case .bool:
            let byte: UInt8 = load(entry.range.lowerBound)
            return byte > 1 ? "neither true nor false" : "\(byte == 1)"
        case .float32: return "\(Float(bitPattern: load(entry.range.lowerBound)))"
        case .float64: return "\(Double(bitPattern: load(entry.range.lowerBound)))"
        default: return "a value of type \(entry.type)"
        }
    }

    private func mismatch(_ key: String, _ expected: String) -> ModelFileError {
        .unsupported(path: path, key: key, value: shown(key), expected: expected)
    }

    private func load<Number: FixedWidthInteger>(_ place: Int) -> Number {
        content.withUnsafeBytes { Number(littleEndian: $0.loadUnaligned(fromByteOffset: place, as: Number.self)) }
    }

    private func integer(_ type: ValueType, at place: Int) -> Int? {
        switch type {
        case .uint8: Int(load(place) as UInt8)
        case .int8: Int(load(place) as Int8)
        case .uint16: Int(load(place) as UInt16)
        case .int16: Int(load(place) as Int16)
        case .uint32: Int(load(place) as UInt32)
        case .int32: Int(load(place) as Int32)
        case .uint64: Int(exactly: load(place) as UInt64)
        case .int64: Int(load(place) as Int64)
        case .float32, .float64, .bool, .string, .array: nil
        }
    }

    private func withCursor<Result>(
        _ body: (inout GGUFCursor) throws(ModelFileError) -> Result
    ) throws(ModelFileError) -> Result {
        let result: Swift.Result<Result, ModelFileError> = content.withUnsafeBytes { bytes in
            var cursor = GGUFCursor(path: path, bytes: bytes)
            do throws(ModelFileError) {
                return .success(try body(&cursor))
            } catch {
                return .failure(error)
            }
        }
        return try result.get()
    }
}
