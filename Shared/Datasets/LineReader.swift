internal import Foundation

/// A place in a file, from which reading can go on.
public struct ReadPosition: Sendable, Equatable, Codable {
    /// Lines read so far.
    public var line: Int
    /// Bytes read so far.
    public var byteOffset: UInt64

    /// Makes a position; both count from the start of the file.
    public init(line: Int, byteOffset: UInt64) {
        self.line = line
        self.byteOffset = byteOffset
    }

    /// The beginning of a file.
    public static let start = Self(line: 0, byteOffset: 0)
}

/// Reads a file line by line in bounded memory.
///
/// A line ends with `\n` or `\r\n`, the last one may end with the file.
struct LineReader {
    /// The file's path.
    let path: String
    /// After the last line that was given out.
    private(set) var position: ReadPosition

    private let handle: FileHandle
    private let maximumLength: Int
    private var buffer: [UInt8] = []
    private var consumed = 0
    private var isAtEnd = false
    private static let chunkSize = 1 << 18

    init(_ path: String, from position: ReadPosition = .start, maximumLength: Int = 1 << 20) throws(DatasetError) {
        guard let handle = FileHandle(forReadingAtPath: path) else {
            let exists = FileManager.default.fileExists(atPath: path)
            throw DatasetError(file: path, reason: exists ? "cannot be opened for reading" : "does not exist")
        }
        do {
            try handle.seek(toOffset: position.byteOffset)
        } catch {
            throw DatasetError(file: path, reason: "cannot be read from byte \(position.byteOffset) on: \(error)")
        }
        self.path = path
        self.position = position
        self.handle = handle
        self.maximumLength = maximumLength
    }

    /// The next line without its end; nil at the end of the file.
    mutating func next() throws(DatasetError) -> ArraySlice<UInt8>? {
        var searched = consumed
        while true {
            if let end = buffer[searched...].firstIndex(of: UInt8(ascii: "\n")) {
                return take(upTo: end, skipping: 1)
            }
            guard !isAtEnd else { return consumed < buffer.count ? take(upTo: buffer.count, skipping: 0) : nil }
            guard buffer.count - consumed <= maximumLength else {
                throw DatasetError(
                    file: path,
                    line: position.line + 1,
                    reason: "the line is longer than \(maximumLength) bytes"
                )
            }
            buffer.removeFirst(consumed)
            consumed = 0
            searched = buffer.count
            try fill()
        }
    }

    private mutating func fill() throws(DatasetError) {
        do {
            let chunk = try handle.read(upToCount: Self.chunkSize) ?? Data()
            if chunk.isEmpty { isAtEnd = true } else { buffer.append(contentsOf: chunk) }
        } catch {
            throw DatasetError(file: path, line: position.line + 1, reason: "cannot be read: \(error)")
        }
    }

    private mutating func take(upTo end: Int, skipping terminator: Int) -> ArraySlice<UInt8> {
        var line = buffer[consumed..<end]
        position.line += 1
        position.byteOffset += UInt64(end - consumed + terminator)
        consumed = end + terminator
        if line.last == UInt8(ascii: "\r") { line.removeLast() }
        return line
    }
}
