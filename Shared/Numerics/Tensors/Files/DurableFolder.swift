import Foundation

/// Folders that are replaced atomically.
public enum DurableFolder {
    /// Atomically replaces a folder with one whose files the closure writes.
    ///
    /// The files are written to a temporary folder next to it and flushed to disk; then the two names are exchanged in
    /// one file system operation. So a reader, and the next start after a crash at any moment, finds either the old
    /// folder or the new one. (Where the file system cannot exchange names, the old folder is first moved to
    /// `.<name>.previous` and stays there if the process dies in between.)
    ///
    /// - Parameters:
    ///   - folder: the path to replace or create; missing parent folders are created.
    ///   - contents: writes the files into the folder it is given.
    /// - Throws: what the closure throws, or `DurableWriteError`.
    public static func write(to folder: String, contents: (_ temporary: String) throws -> Void) throws {
        let what = "the folder \(folder)"
        let target = URL(filePath: folder).standardizedFileURL
        let parent = target.deletingLastPathComponent()
        let name = target.lastPathComponent
        let temporary = parent.appending(path: ".\(name).writing-\(UUID().uuidString)").path
        let files = FileManager.default
        defer { try? files.removeItem(atPath: temporary) }
        do {
            try files.createDirectory(atPath: temporary, withIntermediateDirectories: true)
        } catch {
            throw DurableWriteError(what, reason: "making \(temporary): \(SafeTensors.reason(error))")
        }
        try contents(temporary)
        for path in try files.subpathsOfDirectory(atPath: temporary) {
            try DurableWriteError.synchronize("\(temporary)/\(path)", writing: what)
        }
        try DurableWriteError.synchronize(temporary, writing: what)
        try replace(target.path, by: temporary, previous: parent.appending(path: ".\(name).previous").path)
        try DurableWriteError.synchronize(parent.path, writing: what)
    }

    private static func replace(_ folder: String, by temporary: String, previous: String) throws {
        func check(_ result: Int32, _ action: String) throws {
            try DurableWriteError.check(result, action, writing: "the folder \(folder)")
        }
        guard FileManager.default.fileExists(atPath: folder) else {
            return try check(rename(temporary, folder), "renaming \(temporary)")
        }
        // After an exchange the old folder has the temporary name and is removed with it.
        if exchange(temporary, folder) { return }
        try? FileManager.default.removeItem(atPath: previous)
        try check(rename(folder, previous), "moving the old folder to \(previous)")
        try check(rename(temporary, folder), "renaming \(temporary)")
        try? FileManager.default.removeItem(atPath: previous)
    }

    /// Exchanges two paths; false where the system or file system cannot.
    private static func exchange(_ first: String, _ second: String) -> Bool {
        #if os(Linux)
            // Glibc declares renameat2 only for GNU sources, which Swift's module of it is not: look it up at run time.
            guard let address = dlsym(nil, "renameat2") else { return false }
            typealias RenameAt2 =
                @convention(c) (
                    Int32, UnsafePointer<CChar>, Int32, UnsafePointer<CChar>, UInt32
                ) -> Int32
            let renameExchange: UInt32 = 2
            let call = unsafeBitCast(address, to: RenameAt2.self)
            return call(AT_FDCWD, first, AT_FDCWD, second, renameExchange) == 0
        #else
            return renamex_np(first, second, UInt32(RENAME_SWAP)) == 0
        #endif
    }
}
