import Foundation
import Glibc
import Bytes

/// What is at a path.
public enum FileEntry: Equatable, Sendable {
    /// Nothing.
    case missing
    /// A folder, or a link to one.
    case folder
    /// Something else, or a link to it.
    case file
    /// A link to something that is not there.
    case link(to: String)

    /// Examines a path.
    ///
    /// - Throws: `ProcessFailure` when it cannot be looked at.
    public init(_ path: String) throws(ProcessFailure) {
        var found = stat()
        if stat(path, &found) == 0 {
            self = found.st_mode & S_IFMT == S_IFDIR ? .folder : .file
            return
        }
        let reason = errno
        if lstat(path, &found) == 0 {
            self = .link(to: (try? FileManager.default.destinationOfSymbolicLink(atPath: path)) ?? "somewhere")
        } else if errno == ENOENT {
            self = .missing
        } else {
            throw PrivateFile.failure("\(path) cannot be looked at", reason)
        }
    }
}

/// Small files that only this user may read, written whole or not at all, with errors that name path and reason.
public enum PrivateFile {
    /// Writes a file that must not be there yet.
    ///
    /// - Parameters:
    ///   - text: what it holds.
    ///   - path: the file.
    ///   - user: its owner; nil is the user of this process.
    /// - Throws: `ProcessFailure` when something of that name exists, which is left unchanged, or when it cannot be
    ///   written.
    public static func create(_ text: String, at path: String, ownedBy user: String? = nil) throws(ProcessFailure) {
        let temporary = try writeTemporary(Array(text.utf8), for: path, isDurable: true)
        defer { unlink(temporary) }
        if let user {
            guard let owner = OperatingSystemUser.numbers(of: user), lchown(temporary, owner.user, owner.group) == 0
            else {
                throw failure("\(path) cannot be given to the user \(user)", errno)
            }
        }
        guard link(temporary, path) == 0 else { throw failure("\(path) cannot be made", errno) }
        settle(folder: parent(of: path))
    }

    /// Replaces an existing file atomically for its readers.
    ///
    /// Anything that is not a file, such as `/dev/null`, is written to and not replaced.
    public static func replace(_ bytes: [UInt8], at path: String) throws(ProcessFailure) {
        var found = stat()
        if lstat(path, &found) == 0, ![S_IFREG, S_IFLNK].contains(found.st_mode & S_IFMT) {
            let descriptor = open(path, O_WRONLY | O_CLOEXEC | O_NONBLOCK)
            guard descriptor >= 0 else { throw failure("\(path) cannot be written", errno) }
            defer { close(descriptor) }
            return try write(bytes, to: descriptor, of: path)
        }
        let temporary = try writeTemporary(bytes, for: path, isDurable: false)
        guard rename(temporary, path) == 0 else {
            let reason = errno
            unlink(temporary)
            throw failure("\(path) cannot be written", reason)
        }
    }

    /// Reads a text.
    public static func read(_ path: String) throws(ProcessFailure) -> String {
        String(decoding: try bytes(of: path, atMost: 1 << 20), as: UTF8.self)
    }

    /// Reads the beginning of a file.
    public static func bytes(of path: String, atMost count: Int) throws(ProcessFailure) -> [UInt8] {
        // A pipe in place of a file must not make this block.
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else { throw failure("\(path) cannot be read", errno) }
        defer { close(descriptor) }
        var bytes = [UInt8](repeating: 0, count: count)
        var length = 0
        while length < count {
            let more = bytes.withUnsafeMutableBytes { buffer in
                Glibc.read(descriptor, buffer.baseAddress?.advanced(by: length), count - length)
            }
            if more < 0, errno == EINTR { continue }
            guard more >= 0 else { throw failure("\(path) cannot be read", errno) }
            if more == 0 { break }
            length += more
        }
        return Array(bytes[..<length])
    }

    /// Renames a file or folder to a name that does not exist yet.
    public static func move(_ path: String, to other: String) throws(ProcessFailure) {
        guard rename(path, other) == 0 else { throw failure("\(path) cannot be renamed to \(other)", errno) }
        settle(folder: parent(of: other))
    }

    /// Removes what is at a path, with everything in it; a link is removed, but not its target.
    public static func removeAll(_ path: String) throws(ProcessFailure) {
        guard try FileEntry(path) != .missing else { return }
        do {
            try FileManager.default.removeItem(atPath: path)
        } catch {
            throw ProcessFailure("\(path) cannot be removed: \(FailureText.reason(error))", exitCode: .configuration)
        }
    }

    /// Syncs a folder, so that the names in it survive a loss of power.
    public static func settle(folder: String) {
        let descriptor = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { return }
        fsync(descriptor)
        close(descriptor)
    }

    static func failure(_ what: String, _ reason: Int32) -> ProcessFailure {
        ProcessFailure("\(what): \(String(cString: strerror(reason)))", exitCode: .configuration)
    }

    static func parent(of path: String) -> String {
        guard let slash = path.lastIndex(of: "/") else { return "." }
        return slash == path.startIndex ? "/" : String(path[..<slash])
    }

    private static func writeTemporary(
        _ bytes: [UInt8],
        for path: String,
        isDurable: Bool
    ) throws(ProcessFailure) -> String {
        let temporary = "\(path).\(getpid()).new"
        unlink(temporary)
        let descriptor = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard descriptor >= 0 else { throw failure("\(path) cannot be written", errno) }
        defer { close(descriptor) }
        do throws(ProcessFailure) {
            try write(bytes, to: descriptor, of: path)
        } catch {
            unlink(temporary)
            throw error
        }
        guard !isDurable || fsync(descriptor) == 0 else {
            let reason = errno
            unlink(temporary)
            throw failure("\(path) cannot be written", reason)
        }
        return temporary
    }

    private static func write(_ bytes: [UInt8], to descriptor: Int32, of path: String) throws(ProcessFailure) {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { throw failure("\(path) cannot be written", errno) }
            rest = rest.dropFirst(count)
        }
    }
}
