internal import Glibc

/// A file that is read from front to back, as it is or compressed with gzip.
///
/// A compressed file is read as if it were not compressed; its first bytes show whether it is. A file that ends before
/// its data does, or whose checksum is wrong, is an error and never a short file.
public final class InputFile {
    /// The file's path.
    public let path: String
    /// The size of the file on disk.
    public let byteCount: Int
    /// How many bytes on disk have been read: compared with `byteCount`, the progress of reading.
    public private(set) var bytesRead = 0
    /// Whether the file is compressed.
    public let isCompressed: Bool

    /// Says whether reading is to stop, asked before each piece of any file; for a process that was told to end.
    ///
    /// Bound to a task for as long as its work takes, so that readers need not pass it on. A reader that skips millions
    /// of bad lines also stops.
    @TaskLocal public static var stop: ReadingStop?

    private let descriptor: Int32
    private let inflater: Inflater?

    /// Opens a file.
    ///
    /// - Throws: `InputFileError` when there is no such file, when it is no stored file (a pipe, a device), when it
    ///   cannot be read, or when it is called `.gz` and is not compressed with gzip.
    public init(_ path: String) throws(InputFileError) {
        try RegularFile.check(path)
        // Something else may have replaced it since, and opening that must not block.
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)
        guard descriptor >= 0 else {
            throw InputFileError(
                path,
                errno == ENOENT ? "does not exist" : "cannot be opened: \(RegularFile.lastError)"
            )
        }
        var status = stat()
        guard fstat(descriptor, &status) == 0 else {
            let error = InputFileError(path, "cannot be read: \(RegularFile.lastError)")
            close(descriptor)
            throw error
        }
        do throws(InputFileError) {
            try RegularFile.check(status, path)
        } catch {
            close(descriptor)
            throw error
        }
        var head: (UInt8, UInt8) = (0, 0)
        let isCompressed = pread(descriptor, &head, 2, 0) == 2 && head == (0x1F, 0x8B)
        guard isCompressed || !path.hasSuffix(".gz") else {
            close(descriptor)
            throw InputFileError(path, "is called .gz, but is not compressed with gzip; is the download whole?")
        }
        self.path = path
        self.descriptor = descriptor
        self.byteCount = Int(status.st_size)
        self.isCompressed = isCompressed
        inflater = isCompressed ? Inflater() : nil
    }

    deinit { close(descriptor) }

    /// Reads the next bytes into a buffer.
    ///
    /// - Parameters:
    ///   - buffer: where the bytes go.
    ///   - start: the index of the first byte in the buffer; there must be room after it.
    /// - Returns: how many bytes were read; 0 at the end of the file.
    /// - Throws: `InputFileError` when the disk fails, the file is cut off or damaged, or reading is to stop.
    public func read(into buffer: inout [UInt8], from start: Int) throws(InputFileError) -> Int {
        precondition(start >= 0 && start < buffer.count, "\(start) leaves no room in \(buffer.count) bytes")
        try checkStop()
        let result: Result<Int, InputFileError> = buffer.withUnsafeMutableBytes { bytes in
            let room = UnsafeMutableRawBufferPointer(rebasing: bytes[start...])
            do throws(InputFileError) {
                guard let inflater else { return .success(try readFile(into: room)) }
                let inflated = try inflater.inflate(into: room, path: path) { (input) throws(InputFileError) in
                    // Empty compressed parts, and padding, take many reads and yield no byte.
                    try checkStop()
                    return try readFile(into: input)
                }
                return .success(inflated)
            } catch {
                return .failure(error)
            }
        }
        return try result.get()
    }

    /// Skips to a byte of the uncompressed content; a compressed file is read up to there.
    ///
    /// - Throws: `InputFileError` when the file ends before, or as `read` does.
    public func skip(toByte offset: UInt64) throws(InputFileError) {
        guard offset > 0 else { return }
        guard isCompressed else {
            guard let place = Int(exactly: offset), place <= byteCount else { throw tooShort(offset, byteCount) }
            guard lseek(descriptor, place, SEEK_SET) >= 0 else {
                throw InputFileError(path, "cannot be read from byte \(offset) on: \(RegularFile.lastError)")
            }
            bytesRead = place
            return
        }
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        var rest = offset
        while rest > 0 {
            if rest < UInt64(buffer.count) { buffer = [UInt8](repeating: 0, count: Int(rest)) }
            let count = try read(into: &buffer, from: 0)
            guard count > 0 else { throw tooShort(offset, Int(offset - rest)) }
            rest -= UInt64(count)
        }
    }

    private func tooShort(_ offset: UInt64, _ count: Int) -> InputFileError {
        InputFileError(path, "ends after \(count) bytes, before byte \(offset), from which to go on")
    }

    /// The contents of a small file.
    ///
    /// - Parameters:
    ///   - path: the file.
    ///   - limit: how many bytes it may hold.
    /// - Returns: its bytes, uncompressed.
    /// - Throws: `InputFileError` when it holds more, or as the initializer and `read` do.
    public static func contents(of path: String, limit: Int) throws(InputFileError) -> [UInt8] {
        let file = try InputFile(path)
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            let count = try file.read(into: &buffer, from: 0)
            if count == 0 { return bytes }
            guard bytes.count + count <= limit else {
                throw InputFileError(path, "holds more than \(limit) bytes; is this the right file?")
            }
            bytes.append(contentsOf: buffer[..<count])
        }
    }

    private func checkStop() throws(InputFileError) {
        guard Self.stop?.isDue() != true else { throw InputFileError(path, "is not read on: the process is to end") }
    }

    private func readFile(into room: UnsafeMutableRawBufferPointer) throws(InputFileError) -> Int {
        while true {
            let count = Glibc.read(descriptor, room.baseAddress, room.count)
            if count >= 0 {
                bytesRead += count
                return count
            }
            if errno != EINTR { throw InputFileError(path, "cannot be read: \(RegularFile.lastError)") }
        }
    }
}
