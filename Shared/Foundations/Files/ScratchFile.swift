internal import Glibc

/// A file for what does not fit into memory; it has no name, so it disappears with the process however that ends.
final class ScratchFile {
    /// How much was written.
    private(set) var byteCount = 0

    private let folder: String
    private let descriptor: Int32

    init(in folder: String) throws(SortError) {
        self.folder = folder
        var random = SystemRandomNumberGenerator()
        let path = "\(folder)/.sorting-\(getpid())-\(String(random.next(), radix: 16))"
        descriptor = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw Self.failure(folder, "cannot be made") }
        guard unlink(path) == 0 else {
            let error = Self.failure(folder, "cannot be removed")
            close(descriptor)
            throw error
        }
    }

    deinit { close(descriptor) }

    /// Writes bytes at the end.
    func append(_ bytes: [UInt8]) throws(SortError) {
        var written = 0
        while written < bytes.count {
            let count = bytes.withUnsafeBytes { buffer in
                write(descriptor, buffer.baseAddress.map { $0 + written }, buffer.count - written)
            }
            if count > 0 {
                written += count
            } else if count == 0 || errno != EINTR {
                throw Self.failure(folder, "cannot be written")
            }
        }
        byteCount += written
    }

    /// Reads bytes from a file offset into a buffer, starting at an index of the buffer.
    ///
    /// - Returns: how many were read, at least one where the file goes that far.
    func read(at place: Int, into buffer: inout [UInt8], from start: Int, atMost limit: Int) throws(SortError) -> Int {
        precondition(start >= 0 && limit >= 0 && start + limit <= buffer.count, "\(start)+\(limit) > \(buffer.count)")
        while true {
            let count = buffer.withUnsafeMutableBytes { bytes in
                pread(descriptor, bytes.baseAddress.map { $0 + start }, limit, place)
            }
            if count >= 0 { return count }
            if errno != EINTR { throw Self.failure(folder, "cannot be read") }
        }
    }

    private static func failure(_ folder: String, _ what: String) -> SortError {
        .disk(folder: folder, reason: "\(what): \(String(cString: strerror(errno)))")
    }
}
