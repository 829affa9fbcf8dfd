import Glibc

/// Small files in which a process keeps its progress: written whole or not at all, and synced to the disk.
public enum StateFile {
    /// Why a file was not written; the one that was there before is untouched.
    public struct Failure: Error, CustomStringConvertible {
        /// What was tried on which file, and what the system answered.
        public let description: String
    }

    /// Replaces a file.
    ///
    /// - Throws: `Failure` naming the file that could not be made, written or renamed.
    public static func write(_ bytes: [UInt8], to path: String) throws(Failure) {
        let temporary = "\(path).writing"
        let descriptor = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NONBLOCK, 0o644)
        guard descriptor >= 0 else { throw failure(temporary, "cannot be made") }
        do throws(Failure) {
            defer { close(descriptor) }
            try write(bytes, to: descriptor, temporary)
            guard fsync(descriptor) == 0 else { throw failure(temporary, "cannot be brought to the disk") }
        } catch {
            unlink(temporary)
            throw error
        }
        guard rename(temporary, path) == 0 else {
            let error = failure(path, "cannot be replaced")
            unlink(temporary)
            throw error
        }
        // The new name is on the disk once its folder is synced.
        let slash = path.lastIndex(of: "/")
        let folder = slash.map { $0 == path.startIndex ? "/" : String(path[..<$0]) } ?? "."
        let parent = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard parent >= 0 else { throw failure(folder, "cannot be opened") }
        defer { close(parent) }
        guard fsync(parent) == 0 else { throw failure(folder, "cannot be brought to the disk") }
    }

    private static func write(_ bytes: [UInt8], to descriptor: Int32, _ path: String) throws(Failure) {
        var written = 0
        while written < bytes.count {
            let count = bytes.withUnsafeBytes { buffer in
                Glibc.write(descriptor, buffer.baseAddress.map { $0 + written }, buffer.count - written)
            }
            if count > 0 {
                written += count
            } else if count == 0 || errno != EINTR {
                throw failure(path, "cannot be written")
            }
        }
    }

    private static func failure(_ path: String, _ what: String) -> Failure {
        Failure(description: "\(path) \(what): \(String(cString: strerror(errno)))")
    }
}
