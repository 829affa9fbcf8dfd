import Foundation

/// Files that are written piece by piece but replaced atomically.
public enum DurableFile {
    /// Why a file was not written; the previous one is untouched.
    public struct Failure: Error, CustomStringConvertible {
        /// The file.
        public let path: String
        /// What was attempted, and the system's error.
        public let reason: String

        /// The file and the reason in one sentence.
        public var description: String { "cannot write \(path): \(reason)" }
    }

    /// Atomically replaces a file with one that the closure writes next to it under a temporary name.
    ///
    /// - Parameters:
    ///   - path: the file; its folder must exist.
    ///   - contents: writes the file at the path it is given.
    /// - Throws: what the closure throws, or `Failure`.
    public static func write(to path: String, contents: (_ temporary: String) throws -> Void) throws {
        let target = URL(filePath: path).standardizedFileURL
        let parent = target.deletingLastPathComponent()
        let temporary = parent.appending(path: ".\(target.lastPathComponent).writing-\(UUID().uuidString)").path
        defer { try? FileManager.default.removeItem(atPath: temporary) }
        var isFolder: ObjCBool = false
        guard FileManager.default.fileExists(atPath: parent.path, isDirectory: &isFolder), isFolder.boolValue else {
            throw Failure(path: path, reason: "there is no folder \(parent.path); make it first")
        }
        guard !FileManager.default.fileExists(atPath: target.path, isDirectory: &isFolder) || !isFolder.boolValue else {
            throw Failure(path: path, reason: "it is a folder; give the name of a file")
        }
        try contents(temporary)
        try synchronize(temporary, path)
        guard rename(temporary, target.path) == 0 else {
            throw Failure(path: path, reason: "renaming \(temporary): \(String(cString: strerror(errno)))")
        }
        try synchronize(parent.path, path)
    }

    private static func synchronize(_ path: String, _ target: String) throws {
        let descriptor = open(path, O_RDONLY)
        defer { if descriptor >= 0 { close(descriptor) } }
        guard descriptor >= 0, fsync(descriptor) == 0 else {
            throw Failure(path: target, reason: "bringing \(path) to the disk: \(String(cString: strerror(errno)))")
        }
    }
}
