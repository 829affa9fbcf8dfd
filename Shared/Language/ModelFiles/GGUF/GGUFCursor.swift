import Foundation

/// Reads little-endian values of a GGUF file one after the other, and nothing beyond its end.
///
/// Each count and length is compared with what is left of the file before it is used, so that no number in a file decides
/// how much memory is taken.
struct GGUFCursor {
    let path: String
    let bytes: UnsafeRawBufferPointer
    private(set) var place = 0

    init(path: String, bytes: UnsafeRawBufferPointer) {
        self.path = path
        self.bytes = bytes
    }

    var left: Int { bytes.count - place }

    /// The range of the next bytes, which are passed over.
    mutating func take(_ count: Int, for what: @autoclosure () -> String) throws(ModelFileError) -> Range<Int> {
        guard count >= 0, count <= left else {
            throw malformed("\(what()) at byte \(place) needs \(count) bytes, the file has \(left) more")
        }
        defer { place += count }
        return place..<place + count
    }

    mutating func integer<Number: FixedWidthInteger>(
        _ type: Number.Type = Number.self,
        for what: @autoclosure () -> String
    ) throws(ModelFileError) -> Number {
        let range = try take(MemoryLayout<Number>.size, for: what())
        return Number(littleEndian: bytes.loadUnaligned(fromByteOffset: range.lowerBound, as: Number.self))
    }

    /// A count of things that take at least `size` bytes each; more than the file has room for, or than `limit`, is an
    /// error.
    mutating func count(
        ofAtLeast size: Int,
        atMost limit: Int = .max,
        for what: @autoclosure () -> String
    ) throws(ModelFileError) -> Int {
        let count = try integer(UInt64.self, for: what())
        guard count <= UInt64(limit), count <= UInt64(left / size) else {
            let room = min(limit, left / size)
            throw malformed("\(what()) is \(count), expected at most \(room): the rest of the file has \(left) bytes")
        }
        return Int(count)
    }

    /// The range of a string's bytes: its length, then its bytes.
    mutating func string(
        atMost limit: Int = .max,
        for what: @autoclosure () -> String
    ) throws(ModelFileError) -> Range<Int> {
        let count = try count(ofAtLeast: 1, atMost: limit, for: "the length of \(what())")
        return try take(count, for: what())
    }

    func text(_ range: Range<Int>, of what: @autoclosure () -> String) throws(ModelFileError) -> String {
        guard let text = String(validating: UnsafeRawBufferPointer(rebasing: bytes[range]), as: UTF8.self) else {
            throw malformed("\(what()) at byte \(range.lowerBound) is not UTF-8")
        }
        return text
    }

    func malformed(_ reason: String) -> ModelFileError { .malformed(path: path, reason: reason) }
}
