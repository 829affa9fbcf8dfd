import Glibc

/// Who this process runs as.
public enum OperatingSystemUser {
    /// Whether this process runs as root.
    public static var isRoot: Bool { geteuid() == 0 }

    /// Whether the machine has a user of this name.
    public static func exists(_ name: String) -> Bool { numbers(of: name) != nil }

    /// The numbers of a user and of the user's own group; nil when the machine has no user of this name.
    public static func numbers(of name: String) -> (user: UInt32, group: UInt32)? {
        var entry = passwd()
        var found: UnsafeMutablePointer<passwd>?
        var text = [CChar](repeating: 0, count: 16_384)
        guard getpwnam_r(name, &entry, &text, text.count, &found) == 0, found != nil else { return nil }
        return (entry.pw_uid, entry.pw_gid)
    }

    /// The program and arguments that start a program as another user, with a signal for when its parent ends.
    ///
    /// - Parameters:
    ///   - command: the program and its arguments.
    ///   - user: the user to become; nil stays.
    ///   - signal: what the program is sent when the thread that started it ends; see `ChildProcess`.
    /// - Returns: `setpriv` with the command as its arguments.
    public static func command(_ command: [String], as user: String?, whenParentDies signal: String?) -> [String] {
        var words = ["/usr/bin/setpriv"]
        if let user { words += ["--reuid=\(user)", "--regid=\(user)", "--clear-groups"] }
        if let signal { words += ["--pdeathsig=\(signal)"] }
        return words.count == 1 ? command : words + ["--"] + command
    }
}
