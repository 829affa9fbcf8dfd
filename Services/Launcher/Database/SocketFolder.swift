import Bytes
import Foundation
import ServiceRuntime

/// The folder of a private database's socket, which nobody else can enter: who is in it is the database, and no port
/// is open that another could have taken.
///
/// It lies in the data folder where a socket's name can be that long, else in the user's runtime folder or `/tmp`.
struct SocketFolder: Sendable {
    /// What PostgreSQL adds to the path; the number is only a part of the name.
    static let port = 5432
    private static let longestPath = 107 - "/.s.PGSQL.\(port)".utf8.count

    /// The folder.
    let path: String

    /// Makes it, or takes the one that is there if it is ours.
    ///
    /// - Parameters:
    ///   - data: the data folder, which exists.
    ///   - user: whom it belongs to; nil is the user of this process.
    /// - Throws: `ProcessFailure` when a folder of its name is somebody else's, or open to others.
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

    /// Removes it if it lies outside of the data folder.
    func remove(data: String) {
        if !path.hasPrefix("\(data)/") { PrivateFile.removeEmptyFolder(path) }
    }

    /// Where it lies.
    static func place(for data: String, user: String?, environment: [String: String]) -> String {
        let near = "\(data)/socket"
        // libpq takes a comma for the end of a name, and settings have quotes of their own.
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
