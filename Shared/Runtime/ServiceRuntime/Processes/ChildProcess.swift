import Concurrency
import Foundation
import Glibc

/// A program that this process started and waits for.
///
/// Each child has a thread of its own here, which starts it and then waits for it: Linux ties `PR_SET_PDEATHSIG` to the
/// thread that started the child, so a short-lived pool thread must not do it.
public final class ChildProcess: Sendable {
    /// What to start, and how.
    public struct Specification: Sendable {
        /// Path of the program.
        public var executable: String
        /// Its arguments, without its name.
        public var arguments: [String]
        /// Its whole environment.
        public var environment: [String: String]
        /// File that its output and errors are appended to; nil: where this process's go.
        public var outputFile: String?

        /// Describes a program to start.
        public init(
            executable: String,
            arguments: [String],
            environment: [String: String],
            outputFile: String? = nil
        ) {
            self.executable = executable
            self.arguments = arguments
            self.environment = environment
            self.outputFile = outputFile
        }
    }

    /// How a child ended.
    public enum Status: Sendable, Equatable, CustomStringConvertible {
        /// It returned this code.
        case exited(Int32)
        /// This signal ended it.
        case signalled(Int32)

        /// In words.
        public var description: String {
            switch self {
            case .exited(let code): "exit code \(code)"
            case .signalled(let number): "signal \(number)"
            }
        }
    }

    /// The child's process id.
    public let id: Int32
    private let end: Latch<Status>

    private init(id: Int32, end: Latch<Status>) {
        self.id = id
        self.end = end
    }

    /// Starts a program.
    ///
    /// - Throws: `ProcessFailure` when it cannot be started.
    public static func start(_ specification: Specification) async throws -> ChildProcess {
        let end = Latch<Status>()
        let id: Int32 = try await withCheckedThrowingContinuation { continuation in
            let thread = Thread {
                switch Spawn.run(specification) {
                case .failure(let failure): continuation.resume(throwing: failure)
                case .success(let id):
                    continuation.resume(returning: id)
                    end.open(with: Spawn.wait(for: id))
                }
            }
            thread.name = "child"
            thread.start()
        }
        return ChildProcess(id: id, end: end)
    }

    /// How it ended; nil while it runs.
    public var status: Status? { end.value }

    /// Waits until it has ended.
    @discardableResult
    public func ended() async -> Status { await end.opened() }

    /// Sends a signal, if it still runs.
    public func signal(_ number: Int32) {
        // Its id is not reused before it has been waited for, which is when the status is set.
        if status == nil { _ = kill(id, number) }
    }

    /// Asks it to end, and ends it when it has not after a while.
    ///
    /// - Parameters:
    ///   - number: the signal to ask with; nil is `SIGTERM`.
    ///   - patience: how long it may take.
    /// - Returns: how it ended.
    @discardableResult
    public func stop(signal number: Int32? = nil, patience: Duration) async -> Status {
        signal(number ?? SIGTERM)
        return await withTaskGroup(of: Void.self) { group in
            group.addTask {
                if (try? await Task.sleep(for: patience)) != nil { self.signal(SIGKILL) }
            }
            let status = await ended()
            group.cancelAll()
            return status
        }
    }
}

/// The system calls of `ChildProcess`.
private enum Spawn {
    static func run(_ specification: ChildProcess.Specification) -> Result<Int32, ProcessFailure> {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0)
        if let file = specification.outputFile {
            // Logs are for the user and the user's group; one of an earlier version may still be open to everybody.
            if file.hasPrefix("/dev/") == false { chmod(file, 0o640) }
            posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, file, O_WRONLY | O_CREAT | O_APPEND, 0o640)
            posix_spawn_file_actions_adddup2(&actions, STDOUT_FILENO, STDERR_FILENO)
        }
        // A descriptor that a library left open would keep a port, a lock or a connection alive in the child.
        _ = closeFrom?(&actions, STDERR_FILENO + 1)

        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        // Its own process group: Ctrl-C reaches only the parent, which stops its children in order.
        let flags = POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK
        posix_spawnattr_setflags(&attributes, Int16(flags))
        posix_spawnattr_setpgroup(&attributes, 0)
        var signals = sigset_t()
        sigfillset(&signals)
        posix_spawnattr_setsigdefault(&attributes, &signals)
        sigemptyset(&signals)
        posix_spawnattr_setsigmask(&attributes, &signals)

        let arguments = [specification.executable] + specification.arguments
        let environment = specification.environment.map { "\($0.key)=\($0.value)" }
        var id: pid_t = 0
        let code = withCStrings(arguments) { arguments in
            withCStrings(environment) { environment in
                posix_spawn(&id, specification.executable, &actions, &attributes, arguments, environment)
            }
        }
        guard code == 0 else {
            let reason = String(cString: strerror(code))
            return .failure(ProcessFailure("\(specification.executable) cannot be started: \(reason)"))
        }
        return .success(id)
    }

    /// `posix_spawn_file_actions_addclosefrom_np` of glibc 2.34, which its headers show to C only with `_GNU_SOURCE`.
    private static let closeFrom: CloseFrom? =
        dlsym(nil, "posix_spawn_file_actions_addclosefrom_np").map { unsafeBitCast($0, to: CloseFrom.self) }
    private typealias CloseFrom = @convention(c) (UnsafeMutablePointer<posix_spawn_file_actions_t>, Int32) -> Int32

    private static func withCStrings<Value>(
        _ strings: [String],
        _ body: ([UnsafeMutablePointer<CChar>?]) -> Value
    ) -> Value {
        let copies = strings.map { strdup($0) }
        defer { for copy in copies { free(copy) } }
        return body(copies + [nil])
    }

    static func wait(for id: Int32) -> ChildProcess.Status {
        var status: Int32 = 0
        while waitpid(id, &status, 0) < 0 {
            // Somebody else waited for it: its exit status can no longer be obtained.
            if errno != EINTR { return .exited(-1) }
        }
        let number = status & 0x7f
        return number == 0 ? .exited((status >> 8) & 0xff) : .signalled(number)
    }
}
