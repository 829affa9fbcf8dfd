import Foundation
import Glibc
import ServiceRuntime

/// A small disk in memory for a database, which a file can fill.
final class FullDisk: Sendable {
    private let folder: String
    private var ballast: String { "\(folder)/ballast" }

    /// The folder of the disk, for the database alone.
    var path: String { folder }

    private init(folder: String) {
        self.folder = folder
    }

    /// Mounts the disk; nil where this process may not.
    static func mount(in parent: String, megabytes: Int = 2_048) async -> FullDisk? {
        let folder = "\(parent)/disk"
        guard OperatingSystemUser.isRoot,
            (try? FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)) != nil,
            await run(["/usr/bin/mount", "-t", "tmpfs", "-o", "size=\(megabytes)m,mode=0755", "tmpfs", folder])
        else { return nil }
        return FullDisk(folder: folder)
    }

    /// Fills it to the last byte.
    func fill() throws {
        let descriptor = open(ballast, O_CREAT | O_WRONLY, 0o600)
        guard descriptor >= 0 else { throw VerificationError("\(ballast) cannot be written") }
        defer { close(descriptor) }
        var size = stat()
        fstat(descriptor, &size)
        var end = Int(size.st_size)
        for piece in [64 << 20, 1 << 20, 4_096] {
            while posix_fallocate(descriptor, end, piece) == 0 { end += piece }
        }
    }

    /// Takes the ballast away.
    func free() {
        unlink(ballast)
    }

    /// Takes the disk away, and what is on it.
    ///
    /// - Parameter kept: where what is on it is copied to first; nil to let it go.
    func unmount(keepingIn kept: String? = nil) async {
        if let kept {
            free()
            _ = await Self.run(["/usr/bin/cp", "-a", folder, kept])
        }
        _ = await Self.run(["/usr/bin/umount", "--lazy", folder])
    }

    private static func run(_ command: [String]) async -> Bool {
        let specification = ChildProcess.Specification(
            executable: command[0],
            arguments: Array(command.dropFirst()),
            environment: ["PATH": "/usr/bin:/bin"],
            outputFile: "/dev/null"
        )
        return await (try? ChildProcess.start(specification))?.ended() == .exited(0)
    }
}
