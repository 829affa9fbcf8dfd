import Bytes
import Foundation
import ServiceRuntime

/// The folder of a private database's socket.
///
/// Nobody else can enter it: whatever listens there is the database, and no port is open that someone else could have
/// taken.
///
/// It is in the data folder if that path is short enough for a socket, otherwise in the user's runtime folder or
/// `/tmp`.
struct SocketFolder: Sendable {
    /// Part of the socket's name, which PostgreSQL appends to the path; no such port is opened.
    static let port = 5432
    private static let longestPath = 107 - "/.s.PGSQL.\(port)".utf8.count

    /// The folder.
    let path: String

    /// Creates the folder, or uses the existing one if it is ours.
    ///
    /// - Parameters:
    ///   - data: the data folder, which must exist.
    ///   - user: its owner; nil is the user of this process.
    /// - Throws: `ProcessFailure` if a folder of that name belongs to someone else, or is open to others.
    init(data: String, user: String?) throws(ProcessFailure) {
        path = Self.place(for: data, user: user, environment: ProcessInfo.processInfo.environment)
        do throws(ProcessFailure) {
            try PrivateFile.makeFolder(path, ownedBy: user)
        } catch {
            throw ProcessFailure(
                "\(error). It is for the database's socket: remove it, or name another folder with --data",
                exitCode: .configuration
            )
        }
    }

    /// Removes it if it is outside the data folder.
    func remove(data: String) {
        if !path.hasPrefix("\(data)/") { PrivateFile.removeEmptyFolder(path) }
    }

    /// The path of the folder.
    static func place(for data: String, user: String?, environment: [String: String]) -> String {
        let near = "\(data)/socket"
        // libpq treats a comma as the end of a name, and settings have their own quoting.
        if near.wholeMatch(of: #/[A-Za-z0-9\/._+-]+/#) != nil, near.utf8.count <= longestPath { return near }
        let name = "userllm-\(SHA256.hexDigest(of: Array(data.utf8)).prefix(16))"
        let runtime = environment["XDG_RUNTIME_DIR"] ?? ""
        let far = "\(runtime)/\(name)"
        if user == nil, runtime.hasPrefix("/"), far.wholeMatch(of: #/\/[A-Za-z0-9\/._+-]+/#) != nil,
            far.utf8.count <= longestPath
        {
            return far
        }
        return "/tmp/\(name)"
    }
}
