import Foundation

/// Why a file or a folder was not written; the previous one is untouched.
public struct DurableWriteError: Error, CustomStringConvertible {
    /// What was to be written, such as a file's path.
    public let target: String
    /// What was attempted, and the system's error.
    public let reason: String

    init(_ target: String, reason: String) {
        self.target = target
        self.reason = reason
    }

    /// Both in one sentence.
    public var description: String { "cannot write \(target): \(reason)" }

    /// Throws the system's error when a call did not return 0.
    static func check(_ result: Int32, _ action: String, writing target: String) throws(DurableWriteError) {
        guard result != 0 else { return }
        throw DurableWriteError(target, reason: "\(action): \(String(cString: strerror(errno)))")
    }

    /// Waits until a file, or the names in a folder, are on the disk.
    static func synchronize(_ path: String, writing target: String) throws(DurableWriteError) {
        let descriptor = open(path, O_RDONLY)
        try check(descriptor < 0 ? -1 : 0, "opening \(path)", writing: target)
        defer { close(descriptor) }
        try check(fsync(descriptor), "bringing \(path) to the disk", writing: target)
    }
}
