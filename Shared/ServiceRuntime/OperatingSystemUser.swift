import Foundation
import Glibc

/// Who this process runs as.
public enum OperatingSystemUser {
    /// Whether this process may do everything.
    public static var isRoot: Bool { geteuid() == 0 }

    /// Whether the machine has a user of this name.
    public static func exists(_ name: String) -> Bool { getpwnam(name) != nil }

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
