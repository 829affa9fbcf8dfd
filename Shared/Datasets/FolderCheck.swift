internal import Foundation

/// Asks the file system about folders.
enum FolderCheck {
    /// Whether there is a folder at this path.
    static func isFolder(_ path: String) -> Bool {
        (try? URL(fileURLWithPath: path).resourceValues(forKeys: [.isDirectoryKey]))?.isDirectory == true
    }
}
