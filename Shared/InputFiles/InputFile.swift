internal import Glibc

/// A file that is read from front to back, as it is or compressed with gzip.
///
/// What a compressed file holds is read as if it were not compressed; whether it is, its first bytes say. A file that
/// ends before its data does, or whose checksum is wrong, is an error and never a short file.
public final class InputFile {
    /// The file's path.
    public let path: String
    /// The size of the file on disk.
    public let byteCount: Int
    /// How much of the file on disk has been read: against `byteCount`, how far the reading is.
    public private(set) var bytesRead = 0
    /// Whether the file is compressed.
    public let isCompressed: Bool

    private let descriptor: Int32
    private let inflater: Inflater?

    /// Opens a file.
    ///
    /// - Throws: `InputFileError` when there is no such file, when it cannot be read, or when it is called `.gz` and is
    ///   not compressed with gzip.
    public init(_ path: String) throws(InputFileError) {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else {
            throw InputFileError(path, errno == ENOENT ? "does not exist" : "cannot be opened: \(Self.lastError)")
        }
        var status = stat()
        guard fstat(descriptor, &status) == 0 else {
            let error = InputFileError(path, "cannot be read: \(Self.lastError)")
            close(descriptor)
            throw error
        }
        guard status.st_mode & S_IFMT != S_IFDIR else {
            close(descriptor)
            throw InputFileError(path, "is a folder; give a file")
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
    /// - Throws: `InputFileError` when the disk fails, or the file is cut off or damaged.
    public func read(into buffer: inout [UInt8], from start: Int) throws(InputFileError) -> Int {
        precondition(start >= 0 && start < buffer.count, "\(start) leaves no room in \(buffer.count) bytes")
        let result: Result<Int, InputFileError> = buffer.withUnsafeMutableBytes { bytes in
            let room = UnsafeMutableRawBufferPointer(rebasing: bytes[start...])
            do throws(InputFileError) {
                guard let inflater else { return .success(try readFile(into: room)) }
                let inflated = try inflater.inflate(into: room, path: path) { (input) throws(InputFileError) in
                    try readFile(into: input)
                }
                return .success(inflated)
            } catch {
                return .failure(error)
            }
        }
        return try result.get()
    }

    /// Goes to a byte of what the file holds; a compressed file is read up to there.
    ///
    /// - Throws: `InputFileError` when the file ends before, or as `read` does.
    public func skip(toByte offset: UInt64) throws(InputFileError) {
        guard offset > 0 else { return }
        guard isCompressed else {
            guard lseek(descriptor, Int(offset), SEEK_SET) >= 0 else {
                throw InputFileError(path, "cannot be read from byte \(offset) on: \(Self.lastError)")
            }
            bytesRead = Int(offset)
            return
        }
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        var rest = Int(offset)
        while rest > 0 {
            if rest < buffer.count { buffer = [UInt8](repeating: 0, count: rest) }
            let count = try read(into: &buffer, from: 0)
            guard count > 0 else { throw InputFileError(path, "ends before byte \(offset), from which to go on") }
            rest -= count
        }
    }

    private func readFile(into room: UnsafeMutableRawBufferPointer) throws(InputFileError) -> Int {
        while true {
            let count = Glibc.read(descriptor, room.baseAddress, room.count)
            if count >= 0 {
                bytesRead += count
                return count
            }
            if errno != EINTR { throw InputFileError(path, "cannot be read: \(Self.lastError)") }
        }
    }

    private static var lastError: String { String(cString: strerror(errno)) }
}
