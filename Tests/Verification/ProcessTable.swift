import Foundation
import Glibc

/// What Linux tells of processes.
enum ProcessTable {
    /// State letter and parent of a process, from `/proc/PID/stat`; nil when there is none.
    private static func look(_ pid: Int32) -> (state: Substring, parent: Int32)? {
        guard let bytes = FileManager.default.contents(atPath: "/proc/\(pid)/stat") else { return nil }
        let text = String(decoding: bytes, as: UTF8.self)
        // The name in front may hold anything, so what follows its last bracket is read.
        guard let end = text.lastIndex(of: ")") else { return nil }
        let words = text[text.index(after: end)...].split(separator: " ")
        guard words.count > 1, let parent = Int32(words[1]) else { return nil }
        return (words[0], parent)
    }

    /// Whether SIGSTOP stopped a process.
    static func isStopped(_ pid: Int32) -> Bool { look(pid)?.state == "T" }

    /// Whether a process is there and has not ended.
    static func isAlive(_ pid: Int32) -> Bool { look(pid).map { $0.state != "Z" } ?? false }

    /// The processes that a process started and that are still there.
    static func children(of pid: Int32) -> [Int32] {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
        return names.compactMap { Int32($0) }.filter { look($0)?.parent == pid }
    }
}
