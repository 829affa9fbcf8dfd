import Glibc

/// A folder or a file that this process holds exclusively, until it ends in whatever way.
public final class FileLock: Sendable {
    private let descriptor: Int32

    /// Takes the lock file in a folder.
    ///
    /// - Throws: `ProcessFailure` when the file cannot be made.
    /// - Returns: nil when another process has it.
    public init?(folder: String) throws(ProcessFailure) {
        let path = folder + "/lock"
        descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else {
            throw ProcessFailure(
                "\(path) cannot be made: \(String(cString: strerror(errno)))",
                exitCode: .configuration
            )
        }
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
            Glibc.close(descriptor)
            return nil
        }
    }

    /// Locks an existing file, which may be read-only; others can still read it.
    ///
    /// On a file system without locks, this always succeeds.
    ///
    /// - Throws: `ProcessFailure` when the file cannot be opened.
    /// - Returns: nil when another process has taken it.
    public init?(file path: String) throws(ProcessFailure) {
        descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)
        guard descriptor >= 0 else {
            throw ProcessFailure("\(path) cannot be opened: \(String(cString: strerror(errno)))", exitCode: .badInput)
        }
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK else {
            Glibc.close(descriptor)
            return nil
        }
    }

    deinit {
        // A process that is being started right now has the descriptor too, and with it the lock, until it closes it.
        flock(descriptor, LOCK_UN)
        Glibc.close(descriptor)
    }
}
