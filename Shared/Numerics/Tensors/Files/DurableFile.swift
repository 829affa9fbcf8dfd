import Foundation

/// Files that are written piece by piece but replaced atomically.
public enum DurableFile {
    /// Atomically replaces a file with one that the closure writes next to it under a temporary name.
    ///
    /// - Parameters:
    ///   - path: the file; its folder must exist.
    ///   - contents: writes the file at the path it is given.
    /// - Throws: what the closure throws, or `DurableWriteError`.
    public static func write(to path: String, contents: (_ temporary: String) throws -> Void) throws {
        let target = URL(filePath: path).standardizedFileURL
        let parent = target.deletingLastPathComponent()
        let temporary = parent.appending(path: ".\(target.lastPathComponent).writing-\(UUID().uuidString)").path
        defer { try? FileManager.default.removeItem(atPath: temporary) }
        var isFolder: ObjCBool = false
        guard FileManager.default.fileExists(atPath: parent.path, isDirectory: &isFolder), isFolder.boolValue else {
            throw DurableWriteError(path, reason: "there is no folder \(parent.path); make it first")
        }
        guard !FileManager.default.fileExists(atPath: target.path, isDirectory: &isFolder) || !isFolder.boolValue else {
            throw DurableWriteError(path, reason: "it is a folder; give the name of a file")
        }
        try contents(temporary)
        try DurableWriteError.synchronize(temporary, writing: path)
        try DurableWriteError.check(rename(temporary, target.path), "renaming \(temporary)", writing: path)
        try DurableWriteError.synchronize(parent.path, writing: path)
    }
}
