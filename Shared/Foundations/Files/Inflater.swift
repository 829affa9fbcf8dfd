internal import CZlib

/// Decompresses a gzip file; several compressed parts one after the other are one file, and zeros after a part are
/// padding, as in gzip(1).
final class Inflater {
    // zlib keeps the address of its stream, so it must not move.
    private let stream: UnsafeMutablePointer<z_stream>
    private let input: UnsafeMutableRawBufferPointer
    private var isStarted = false
    private var isBetweenParts = true
    /// How many parts were begun, and where in the file the last one began.
    private var parts = 0
    private var partStart = 0
    /// Compressed bytes read so far.
    private var inputByteCount = 0

    init() {
        stream = .allocate(capacity: 1)
        stream.initialize(to: z_stream())
        input = .allocate(byteCount: 1 << 18, alignment: 16)
    }

    deinit {
        if isStarted { inflateEnd(stream) }
        stream.deallocate()
        input.deallocate()
    }

    /// Fills the buffer as far as there are bytes.
    ///
    /// - Parameters:
    ///   - room: where the bytes go; not empty.
    ///   - path: the file, for errors.
    ///   - read: reads the next compressed bytes, and gives how many; 0 at the end.
    /// - Returns: how many bytes there are; 0 at the end.
    /// - Throws: `InputFileError` when the data end too soon or are damaged, and what `read` throws.
    func inflate(
        into room: UnsafeMutableRawBufferPointer,
        path: String,
        read: (UnsafeMutableRawBufferPointer) throws(InputFileError) -> Int
    ) throws(InputFileError) -> Int {
        stream.pointee.next_out = room.baseAddress?.assumingMemoryBound(to: UInt8.self)
        stream.pointee.avail_out = UInt32(room.count)
        while stream.pointee.avail_out > 0 {
            if stream.pointee.avail_in == 0 {
                let count = try read(input)
                if count == 0 {
                    guard isBetweenParts else { throw cutOff(path) }
                    break
                }
                inputByteCount += count
                stream.pointee.next_in = input.baseAddress?.assumingMemoryBound(to: UInt8.self)
                stream.pointee.avail_in = UInt32(count)
            }
            if isBetweenParts {
                if parts > 0, skipsZeros() { continue }
                try begin(path)
            }
            let code = CZlib.inflate(stream, Z_NO_FLUSH)
            switch code {
            case Z_OK: break
            case Z_STREAM_END: isBetweenParts = true
            // This input is used up; the loop reads on.
            case Z_BUF_ERROR where stream.pointee.avail_in == 0: break
            default: throw damage(path, code)
            }
        }
        return room.count - Int(stream.pointee.avail_out)
    }

    /// Skips zeros between parts, with which tapes and some tools pad a file; true when the input ends first.
    private func skipsZeros() -> Bool {
        while stream.pointee.avail_in > 0, stream.pointee.next_in?.pointee == 0 {
            stream.pointee.next_in += 1
            stream.pointee.avail_in -= 1
        }
        return stream.pointee.avail_in == 0
    }

    private func begin(_ path: String) throws(InputFileError) {
        partStart = inputByteCount - Int(stream.pointee.avail_in)
        if parts > 0, stream.pointee.next_in?.pointee != 0x1F { throw trailing(path) }
        // 15 bits of window, and 16 more for a gzip header and checksum.
        let code =
            isStarted
            ? inflateReset(stream)
            : inflateInit2_(stream, 15 + 16, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size))
        guard code == Z_OK else { throw damage(path, code) }
        isStarted = true
        isBetweenParts = false
        parts += 1
    }

    private func cutOff(_ path: String) -> InputFileError {
        let part = parts > 1 ? "its part \(parts), which begins at byte \(partStart)," : "its compressed data"
        return InputFileError(path, "is cut off: \(part) does not end; get the file again")
    }

    private func damage(_ path: String, _ code: Int32) -> InputFileError {
        let text = stream.pointee.msg.map { String(cString: $0) } ?? "zlib's code \(code)"
        let byte = inputByteCount - Int(stream.pointee.avail_in)
        // A part without even a valid header is not counted as one.
        if parts > 1, code == Z_DATA_ERROR, byte - partStart <= 2 { return trailing(path) }
        return InputFileError(
            path,
            "is damaged: its compressed data is wrong at byte \(byte) (\(text)); get the file again"
        )
    }

    private func trailing(_ path: String) -> InputFileError {
        InputFileError(
            path,
            "has bytes after its compressed data, from byte \(partStart) on, that are neither compressed data nor zeros; "
                + "get the file again, or keep its first \(partStart) bytes"
        )
    }
}
