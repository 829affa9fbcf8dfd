import Datasets
import Bytes
import Files

/// A digest of a file's content up to a position; for a compressed file, of the decompressed content.
struct Checkpoint: Encodable, Equatable, Sendable {
    var byteOffset: UInt64
    var sha256: String
}

extension [Checkpoint] {
    /// Adds a later checkpoint and drops some that are close together, so that the list stays short for any file.
    mutating func keep(_ checkpoint: Checkpoint) {
        if let last, last.byteOffset >= checkpoint.byteOffset { return }
        let spacing = checkpoint.byteOffset / 16
        // The previous last one was needed only while it was the last.
        if count >= 2, self[count - 1].byteOffset - self[count - 2].byteOffset < spacing { removeLast() }
        append(checkpoint)
        guard count > 32 else { return }
        var kept: [Checkpoint] = []
        for one in self[..<(count - 1)] {
            guard kept.last.map({ one.byteOffset - $0.byteOffset >= spacing }) ?? true else { continue }
            kept.append(one)
        }
        self = kept + [checkpoint]
    }
}

/// Reads a file in parallel with the event reader, and keeps digests of everything before a position.
struct ContentProof {
    /// How far it has read.
    private(set) var byteOffset: UInt64 = 0
    /// How many lines ended before that.
    private(set) var lines = 0

    private let file: InputFile
    private var hash = SHA256()
    private var bytes = [UInt8](repeating: 0, count: 1 << 18)
    private var start = 0
    private var end = 0
    private var lastByte = UInt8(ascii: "\n")

    init(_ path: String) throws(InputFileError) { file = try InputFile(path) }

    /// The checkpoint at the current position.
    var checkpoint: Checkpoint {
        let hash = hash
        return Checkpoint(byteOffset: byteOffset, sha256: hash.hexDigest())
    }

    /// Reads up to a position; false if the file ends before it.
    mutating func advance(to target: UInt64) throws(InputFileError) -> Bool {
        while byteOffset < target {
            guard try fill() else { return false }
            pass(Int(min(UInt64(end - start), target - byteOffset)))
        }
        return true
    }

    /// Reads up to the end of an event; false if the file ends before it.
    ///
    /// A line of which only some events were taken is read in full, because it must not change either.
    mutating func advance(to position: ReadPosition) throws(InputFileError) -> Bool {
        guard try advance(to: position.byteOffset) else { return false }
        if position.eventsOfLine > 0, byteOffset == position.byteOffset { try passLine() }
        return true
    }

    private mutating func passLine() throws(InputFileError) {
        repeat {
            guard try fill() else { return }
            let lineEnd = bytes.firstIndex(of: UInt8(ascii: "\n"), in: start..<end)
            pass((lineEnd.map { $0 + 1 } ?? end) - start)
        } while lastByte != UInt8(ascii: "\n")
    }

    /// What follows a last line that had no line end when it was read.
    enum Continuation: Equatable {
        /// Nothing, or another line.
        case none
        /// The missing line end, of this many bytes.
        case lineEnd(Int)
        /// More of the line.
        case text
    }

    /// Looks at what follows the current position, without advancing.
    mutating func continuation() throws(InputFileError) -> Continuation {
        guard lastByte != UInt8(ascii: "\n"), try fill(2) else { return .none }
        if bytes[start] == UInt8(ascii: "\n") { return .lineEnd(1) }
        let isCRLF = bytes[start] == UInt8(ascii: "\r") && end - start > 1 && bytes[start + 1] == UInt8(ascii: "\n")
        return isCRLF ? .lineEnd(2) : .text
    }

    private mutating func pass(_ count: Int) {
        guard count > 0 else { return }
        let range = start..<(start + count)
        hash.update(bytes[range])
        var place = range.lowerBound
        while let lineEnd = bytes.firstIndex(of: UInt8(ascii: "\n"), in: place..<range.upperBound) {
            lines += 1
            place = lineEnd + 1
        }
        lastByte = bytes[range.upperBound - 1]
        start = range.upperBound
        byteOffset += UInt64(count)
    }

    /// Buffers this many bytes if the file has them; false at its end.
    private mutating func fill(_ wanted: Int = 1) throws(InputFileError) -> Bool {
        if start > 0, end - start < wanted {
            for index in start..<end { bytes[index - start] = bytes[index] }
            (start, end) = (0, end - start)
        }
        while end - start < wanted {
            let count = try file.read(into: &bytes, from: end)
            if count == 0 { break }
            end += count
        }
        return start < end
    }
}
