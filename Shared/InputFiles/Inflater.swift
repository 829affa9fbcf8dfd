internal import CZlib

/// Makes the bytes of a gzip file what they were before; several compressed parts one after the other are one file.
final class Inflater {
    // zlib keeps the address of its stream, so that must not move.
    private let stream: UnsafeMutablePointer<z_stream>
    private let input: UnsafeMutableRawBufferPointer
    private var isStarted = false
    private var isBetweenParts = true

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

    /// Fills the room as far as there are bytes.
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
                    guard isBetweenParts else {
                        throw InputFileError(path, "is cut off: its compressed data does not end; get the file again")
                    }
                    break
                }
                stream.pointee.next_in = input.baseAddress?.assumingMemoryBound(to: UInt8.self)
                stream.pointee.avail_in = UInt32(count)
            }
            if isBetweenParts { try begin(path) }
            let code = CZlib.inflate(stream, Z_NO_FLUSH)
            switch code {
            case Z_OK: break
            case Z_STREAM_END: isBetweenParts = true
            // No more can be made of this input; the loop reads on.
            case Z_BUF_ERROR where stream.pointee.avail_in == 0: break
            default: throw damage(path, code)
            }
        }
        return room.count - Int(stream.pointee.avail_out)
    }

    private func begin(_ path: String) throws(InputFileError) {
        // 15 bits of window, and 16 more for a gzip header and checksum.
        let code =
            isStarted
            ? inflateReset(stream)
            : inflateInit2_(stream, 15 + 16, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size))
        guard code == Z_OK else { throw damage(path, code) }
        isStarted = true
        isBetweenParts = false
    }

    private func damage(_ path: String, _ code: Int32) -> InputFileError {
        let text = stream.pointee.msg.map { String(cString: $0) } ?? "zlib's code \(code)"
        return InputFileError(path, "is damaged: its compressed data is wrong (\(text)); get the file again")
    }
}
