internal import Foundation

/// Queries the file system about files and folders.
enum FolderCheck {
    /// Whether there is a folder at this path.
    static func isFolder(_ path: String) -> Bool {
        (try? URL(fileURLWithPath: path).resourceValues(forKeys: [.isDirectoryKey]))?.isDirectory == true
    }

    /// The size of a file in bytes; 0 when there is none.
    static func size(of path: String) -> Int {
        (try? URL(fileURLWithPath: path).resourceValues(forKeys: [.fileSizeKey]))?.fileSize ?? 0
    }
}
