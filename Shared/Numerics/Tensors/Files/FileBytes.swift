public import Foundation

/// Reads regular files only: a pipe, a device or a folder at the path is rejected instead of blocking.
public enum FileBytes {
    /// Why a file cannot be read.
    public struct Failure: Error, Equatable, CustomStringConvertible {
        /// The file.
        public let path: String
        /// What is wrong with it, and what to do.
        public let reason: String
        /// Whether nothing exists at the path.
        public let isMissing: Bool

        /// The file and the reason in one sentence.
        public var description: String { "\(path): \(reason)" }
    }

    /// The bytes of a memory-mapped file: they take no memory until they are read.
    ///
    /// - Throws: `Failure`.
    public static func mapped(_ path: String) throws(Failure) -> Data {
        _ = try size(path)
        return try contents(path, .alwaysMapped)
    }

    /// The full contents of a file.
    ///
    /// - Parameters:
    ///   - path: the file.
    ///   - limit: the maximum size of such a file in bytes; a larger one is rejected without being read.
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
