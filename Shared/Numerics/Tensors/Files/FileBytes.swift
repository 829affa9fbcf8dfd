public import Foundation

/// Reads files, and nothing else: a pipe, a device or a folder in a file's place is refused instead of waited for.
public enum FileBytes {
    /// Why a file cannot be read.
    public struct Failure: Error, Equatable, CustomStringConvertible {
        /// The file.
        public let path: String
        /// What is wrong with it, and what to do.
        public let reason: String
        /// Whether there is nothing at the path.
        public let isMissing: Bool

        /// The file and the reason in one sentence.
        public var description: String { "\(path): \(reason)" }
    }

    /// The bytes of a file, mapped into memory: they take none until they are read.
    ///
    /// - Throws: `Failure`.
    public static func mapped(_ path: String) throws(Failure) -> Data {
        _ = try size(path)
        return try contents(path, .alwaysMapped)
    }

    /// The bytes of a file that is read as a whole.
    ///
    /// - Parameters:
    ///   - path: the file.
    ///   - limit: the most bytes that such a file has; a larger one is refused unread.
    /// - Returns: all bytes of the file.
    /// - Throws: `Failure`.
    public static func contents(_ path: String, atMost limit: Int) throws(Failure) -> Data {
        let size = try size(path)
        guard size <= limit else {
            let reason = "has \(size) bytes, expected at most \(limit): is it the right file?"
            throw Failure(path: path, reason: reason, isMissing: false)
        }
        return try contents(path, [])
    }

    private static func size(_ path: String) throws(Failure) -> Int {
        var status = stat()
        guard stat(path, &status) == 0 else {
            let (isMissing, reason) = (errno == ENOENT || errno == ENOTDIR, String(cString: strerror(errno)))
            let text = isMissing ? "does not exist" : "cannot be read: \(reason)"
            throw Failure(path: path, reason: text, isMissing: isMissing)
        }
        guard status.st_mode & S_IFMT == S_IFREG else {
            throw Failure(path: path, reason: "is no file but a folder, pipe or device; give a file", isMissing: false)
        }
        return Int(status.st_size)
    }

    private static func contents(_ path: String, _ options: Data.ReadingOptions) throws(Failure) -> Data {
        do {
            return try Data(contentsOf: URL(filePath: path), options: options)
        } catch {
            throw Failure(path: path, reason: "cannot be read: \(SafeTensors.reason(error))", isMissing: false)
        }
    }
}
