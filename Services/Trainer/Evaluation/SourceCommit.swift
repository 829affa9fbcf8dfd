import Foundation

/// The commit that produced a result.
///
/// A build does not know its commit, so at run time this asks git about the checkout that contains the program's file.
enum SourceCommit {
    /// The hash of this program's commit; `unknown` outside a checkout, or without git.
    ///
    /// It ends with `-dirty` if tracked files differ from the commit, and with `-or-before` if the program was built
    /// before the commit was made.
    static var current: String {
        let link = "/proc/self/exe"
        guard let program = try? FileManager.default.destinationOfSymbolicLink(atPath: link) else { return "unknown" }
        return of(program: program)
    }

    /// The commit of a program's file.
    static func of(program: String) -> String {
        let folder = URL(fileURLWithPath: program).deletingLastPathComponent().path
        guard let commit = git(["describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"], in: folder),
            let made = git(["log", "-1", "--format=%ct"], in: folder).flatMap(Double.init),
            let attributes = try? FileManager.default.attributesOfItem(atPath: program),
            let built = attributes[.modificationDate] as? Date
        else { return "unknown" }
        return built.timeIntervalSince1970 < made ? commit + "-or-before" : commit
    }

    /// The output of git in a folder, without the final line break; nil if it fails or there is no git.
    private static func git(_ arguments: [String], in folder: String) -> String? {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = ["git", "-C", folder] + arguments
        process.standardInput = FileHandle.nullDevice
        process.standardError = FileHandle.nullDevice
        let pipe = Pipe()
        process.standardOutput = pipe
        do {
            try process.run()
            let answer = try pipe.fileHandleForReading.readToEnd() ?? Data()
            process.waitUntilExit()
            let text = String(decoding: answer, as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines)
            return process.terminationStatus == 0 && !text.isEmpty ? text : nil
        } catch {
            return nil
        }
    }
}
