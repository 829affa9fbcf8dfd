import Foundation
import ServiceRuntime
import Synchronization

/// A PostgreSQL cluster of this test process alone, started at its first use and stopped when the process ends.
///
/// It lives in a folder under `/tmp` that only its user can enter, listens on a socket in there and on no port (but for
/// the tests of TLS, which a socket does not have), and does not flush to disk, which no test needs that does not pull
/// the plug. PostgreSQL refuses to run as root, so root starts it as `postgres`.
public final class PrivatePostgres: Sendable {
    /// What went wrong with the cluster itself.
    public struct Failure: Error, CustomStringConvertible {
        /// The command, and what it printed.
        public let description: String
    }

    /// The port it listens on, held as long as it may be started again; nil for nearly all.
    private let listener: PortClaim?
    /// The port's number.
    public var port: Int? { listener?.port }
    /// The server's socket.
    public var socketPath: String { "\(folder)/.s.PGSQL.\(number)" }
    /// A part of the socket's name, and the port's number where there is one.
    private var number: Int { listener?.port ?? 5432 }
    /// The cluster's folder.
    public let folder: String
    private let count = Atomic<Int>(0)

    private struct Clusters {
        var shared: PrivatePostgres?
        var all: [PrivatePostgres] = []
    }

    private static let clusters = Mutex(Clusters())

    /// The cluster of this process.
    public static func shared() throws -> PrivatePostgres {
        try clusters.withLock { clusters in
            if let running = clusters.shared { return running }
            let cluster = try start(&clusters)
            clusters.shared = cluster
            return cluster
        }
    }

    /// A cluster of one test alone, which may stop it without harm to others.
    ///
    /// - Parameter listens: whether it can be reached over TCP too.
    /// - Returns: the cluster, which answers.
    /// - Throws: `Failure`.
    public static func own(listens: Bool = false) throws -> PrivatePostgres {
        try clusters.withLock { try start(&$0, listens: listens) }
    }

    private static func start(_ clusters: inout Clusters, listens: Bool = false) throws -> PrivatePostgres {
        let cluster = try PrivatePostgres(listener: listens ? PortClaim() : nil)
        if clusters.all.isEmpty {
            atexit { PrivatePostgres.clusters.withLock { $0.all.forEach { $0.stop() } } }
        }
        clusters.all.append(cluster)
        return cluster
    }

    /// The address of a database of the cluster.
    public func address(_ database: String = "postgres") -> String {
        "postgresql://postgres@/\(database)?host=\(folder)" + (listener.map { "&port=\($0.port)" } ?? "")
    }

    /// The same over TCP, by way of a port of the loopback interface: that of a proxy, or of a listener.
    public func address(_ database: String, port: Int) -> String {
        "postgresql://postgres@127.0.0.1:\(port)/\(database)"
    }

    /// Makes an empty database and gives its address.
    public func makeDatabase() throws -> String { address(try makeDatabaseName()) }

    /// Makes an empty database and gives its name.
    public func makeDatabaseName() throws -> String {
        let name = "test_\(count.add(1, ordering: .relaxed).newValue)"
        try run("psql", ["-q", "-X", "-d", address(), "-c", "CREATE DATABASE \(name)"])
        return name
    }

    /// Runs statements by the side of what is tested, and gives what `psql` prints: values without decoration.
    @discardableResult
    public func psql(_ address: String, _ statements: String) throws -> String {
        try run("psql", ["-q", "-X", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", address, "-c", statements])
    }

    /// Ends all connections to a database, as a network that breaks or an administrator would.
    public func endConnections(_ address: String) throws {
        try psql(
            address,
            """
            SELECT count(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity
            WHERE datname = current_database() AND pid <> pg_backend_pid()
            """
        )
    }

    /// Stops the server at once, as a crash would, and starts it again after `body`.
    public func restart(during body: () async throws -> Void = {}) async throws {
        try run("pg_ctl", ["stop", "-D", folder, "-m", "immediate", "-w", "-t", "600"])
        let result: Result<Void, any Error>
        do { result = .success(try await body()) } catch { result = .failure(error) }
        try start()
        try result.get()
    }

    /// Removes the clusters of test processes that were killed.
    private static func removeOrphans() {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: "/tmp")) ?? []
        for name in names where name.hasPrefix("userllm-postgres-") {
            let owner = name.split(separator: "-").dropFirst(2).first.flatMap { pid_t($0) }
            guard let owner, kill(owner, 0) != 0, errno == ESRCH else { continue }
            let folder = "/tmp/" + name
            let state = try? String(contentsOfFile: folder + "/postmaster.pid", encoding: .utf8)
            if let server = state?.split(separator: "\n").first.flatMap({ pid_t($0) }) { kill(server, SIGQUIT) }
            try? FileManager.default.removeItem(atPath: folder)
        }
    }

    private init(listener: PortClaim?) throws {
        self.listener = listener
        Self.removeOrphans()
        folder = "/tmp/userllm-postgres-\(getpid())-\(UUID().uuidString.prefix(8))"
        try PrivateFile.makeFolder(folder, ownedBy: getuid() == 0 ? "postgres" : nil)
        let options = ["-A", "trust", "-U", "postgres", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync"]
        try run("initdb", ["-D", folder] + options)
        let settings = """
            listen_addresses = '\(listener == nil ? "" : "127.0.0.1")'
            port = \(number)
            unix_socket_directories = '\(folder)'
            fsync = off
            full_page_writes = off
            max_connections = 1000
            shared_buffers = 128MB
            max_wal_size = 2GB
            log_min_messages = warning
            log_statement_stats = off

            """
        let file = folder + "/settings.conf"
        try settings.write(toFile: file, atomically: true, encoding: .utf8)
        if getuid() == 0 { try Self.execute("/usr/bin/chown", ["postgres", file]) }
        let main = try FileHandle(forWritingTo: URL(filePath: folder + "/postgresql.conf"))
        try main.seekToEnd()
        try main.write(contentsOf: Data("include 'settings.conf'\n".utf8))
        try main.close()
        try start()
    }

    private func start() throws {
        try run("pg_ctl", ["start", "-D", folder, "-l", folder + "/log", "-w", "-t", "600"])
    }

    /// Stops the server at once, and removes its folder.
    ///
    /// `pg_ctl` would wait a minute for a server that a test killed and that the machine's first process has not waited
    /// for, as in most containers.
    private func stop() {
        let state = try? String(contentsOfFile: folder + "/postmaster.pid", encoding: .utf8)
        if let server = state?.split(separator: "\n").first.flatMap({ pid_t($0) }) {
            kill(server, SIGQUIT)
            let end = ContinuousClock.now + .seconds(60)
            while Self.isRunning(server), ContinuousClock.now < end { usleep(10_000) }
        }
        try? FileManager.default.removeItem(atPath: folder)
    }

    /// Whether a process is there and has not ended; one that nobody has waited for has no command line any more.
    private static func isRunning(_ process: pid_t) -> Bool {
        FileManager.default.contents(atPath: "/proc/\(process)/cmdline").map { !$0.isEmpty } ?? false
    }

    /// Runs a program of PostgreSQL, as a user that is not root.
    @discardableResult
    func run(_ program: String, _ arguments: [String]) throws -> String {
        let path = program.hasPrefix("/") ? program : try Self.binaries() + "/" + program
        guard getuid() == 0 else { return try Self.execute(path, arguments) }
        let identity = ["--reuid=postgres", "--regid=postgres", "--clear-groups", path]
        return try Self.execute("/usr/bin/setpriv", identity + arguments)
    }

    private static func binaries() throws -> String {
        let root = "/usr/lib/postgresql"
        let versions = (try? FileManager.default.contentsOfDirectory(atPath: root)) ?? []
        guard let newest = versions.compactMap({ Int($0) }).max() else {
            throw Failure(description: "no PostgreSQL server in \(root): install Debian's postgresql")
        }
        return "\(root)/\(newest)/bin"
    }

    /// Runs a program and gives what it prints; throws unless it ends with 0.
    ///
    /// Not with Foundation's `Process`: that waits until every descendant has ended, so also the server that `pg_ctl`
    /// leaves behind. For the same reason output goes to a file, not a pipe.
    @discardableResult
    private static func execute(_ path: String, _ arguments: [String]) throws -> String {
        let file = "/tmp/userllm-output-\(UUID().uuidString)"
        defer { unlink(file) }
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_addopen(&actions, 1, file, O_WRONLY | O_CREAT | O_EXCL, 0o600)
        posix_spawn_file_actions_adddup2(&actions, 1, 2)
        // The server outlives this call, so it must not keep a file of the test process open.
        let closing = "for fd in /proc/self/fd/*; do fd=${fd##*/}; [ $fd -le 2 ] || eval \"exec $fd>&-\"; done"
        let script = "cd /tmp; \(closing) 2>/dev/null; exec \"$@\""
        let words = (["/bin/bash", "-c", script, "bash", path] + arguments).map { strdup($0) }
        defer { for word in words { free(word) } }
        var child = pid_t()
        let code = posix_spawn(&child, "/bin/bash", &actions, nil, words + [nil], environ)
        guard code == 0 else { throw Failure(description: "cannot start \(path): \(String(cString: strerror(code)))") }
        var status: Int32 = 0
        while waitpid(child, &status, 0) == -1 && errno == EINTR {}
        let text = (try? String(contentsOfFile: file, encoding: .utf8)) ?? ""
        guard status == 0 else {
            // The raw status tells an exit code (status >> 8) from a signal.
            throw Failure(description: "\(path) \(arguments.joined(separator: " ")): status \(status), \(text)")
        }
        return text
    }
}
