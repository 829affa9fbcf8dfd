import Foundation
import Glibc

/// A folder for targets that read files: `Deploy/fuzz` says by `TMPDIR` where, in memory, and takes it away.
enum ScratchFolder {
    static let path: String = {
        let folder = FileManager.default.temporaryDirectory.appending(path: "userllm-fuzz-\(getpid())").path
        guard (try? FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)) != nil
        else {
            preconditionFailure("\(folder) cannot be made")
        }
        return folder
    }()

    /// Writes a file into the folder.
    static func write(_ name: String, _ bytes: [UInt8]) throws {
        let descriptor = open("\(path)/\(name)", O_WRONLY | O_CREAT | O_TRUNC, 0o600)
        precondition(descriptor >= 0, "\(path)/\(name) cannot be opened")
        defer { close(descriptor) }
        let written = bytes.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
        precondition(written == bytes.count, "\(path)/\(name) took \(written) of \(bytes.count) bytes")
    }

    /// Takes a file away, where there is one.
    static func remove(_ name: String) { unlink("\(path)/\(name)") }
}
