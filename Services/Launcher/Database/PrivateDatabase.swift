import Foundation
import ServiceRuntime

/// A private PostgreSQL cluster in a folder, with a password, and reachable only through a socket of this user.
///
/// PostgreSQL does not run as root; under root the folders belong to the user `postgres` and the server runs as that
/// user.
struct PrivateDatabase: Sendable {
    private static let superuser = "userllm"
    private static let databaseName = "userllm"
    private static let rootSubstitute = "postgres"

    /// The cluster's folder.
    var folder: String { place.path }
    private let place: DatabaseFolder
    private let sockets: SocketFolder
    private let data: String
    private let logFile: String
    private let programs: PostgresPrograms
    private let password: String
    private let user: String?

    /// Inspects the folder, and creates the cluster if there is none and never was one.
    ///
    /// - Parameters:
    ///   - data: the system's data folder, which must exist.
    ///   - logs: the folder for log files.
    /// - Throws: `ProcessFailure` that says what to do.
    init(data: String, logs: String) async throws {
        self.data = data
        place = DatabaseFolder(data: data)
        logFile = "\(logs)/database.log"
        programs = try PostgresPrograms.forCluster(in: place.path)
        user = OperatingSystemUser.isRoot ? Self.rootSubstitute : nil
        if let user, !OperatingSystemUser.exists(user) {
            throw ProcessFailure(
                "PostgreSQL does not run as root, and there is no user \(user) to run it as: run as another user, "
                    + "or name a database with --database postgresql://...",
                exitCode: .configuration
            )
        }
        switch try place.content() {
        case .cluster(let password):
            self.password = password
            sockets = try SocketFolder(data: data, user: user)
        case .unfinished:
            try place.finish()
            guard case .cluster(let password) = try place.content() else {
                throw ProcessFailure("\(place.path) is not there after it was made", exitCode: .unavailable)
            }
            self.password = password
            sockets = try SocketFolder(data: data, user: user)
        case .nothing:
            password = Self.makePassword()
            sockets = try SocketFolder(data: data, user: user)
            try await removeDraft()
            try await make()
        }
        try await checkAccess(to: place.path)
    }

    /// The address of the database.
    var address: String {
        // The folder's name has no character that an address would have to escape.
        "postgresql://\(Self.superuser):\(password)@/\(Self.databaseName)?host=\(sockets.path)"
    }

    /// Removes what the server leaves outside the data folder.
    func cleanUp() { sockets.remove(data: data) }

    // MARK: - Creating the cluster

    /// Removes what a killed start left behind; an `initdb` that it started may still be writing there for a moment.
    private func removeDraft() async throws {
        let end = ContinuousClock.now + .seconds(20)
        while true {
            do throws(ProcessFailure) {
                return try place.removeDraft()
            } catch {
                guard ContinuousClock.now < end else { throw error }
            }
            try await Task.sleep(for: .milliseconds(100))
        }
    }

    /// Creates the cluster under another name first, so that a folder of the right name is always complete.
    private func make() async throws {
        try PrivateFile.makeFolder(place.draft, ownedBy: user)
        try await checkAccess(to: place.draft)
        try PrivateFile.create(password, at: place.draftPassword, ownedBy: user)
        let options = [
            "--pgdata=\(place.draft)", "--username=\(Self.superuser)", "--auth=scram-sha-256",
            "--pwfile=\(place.draftPassword)", "--encoding=UTF8", "--locale=C.UTF-8", "--no-instructions",
        ]
        try await run([programs.path("initdb")] + options, what: "making a database in \(place.path)")
        try place.remember()
        try place.finish()
    }

    private static func makePassword() -> String {
        var generator = SystemRandomNumberGenerator()
        return (0..<4).map { _ in
            let digits = String(UInt64.random(in: 0...UInt64.max, using: &generator), radix: 16)
            return String(repeating: "0", count: 16 - digits.count) + digits
        }.joined()
    }

    /// Checks that the server can enter the folder, which a home folder above it may prevent.
    private func checkAccess(to path: String) async throws {
        let words = OperatingSystemUser.command(["/usr/bin/test", "-w", path], as: user, whenParentDies: nil)
        let check = try await ChildProcess.start(specification(words, output: nil))
        guard await check.ended() != .exited(0) else { return }
        let who = user.map { "the user \($0), as whom the database runs," } ?? "this user"
        throw ProcessFailure(
            "\(path) cannot be used by \(who): choose a --data folder below folders that everybody may pass "
                + "(such as /var/lib/userllm or /tmp/userllm), and that no other user's data is in",
            exitCode: .configuration
        )
    }

    // MARK: - Running it

    /// The command that starts the server.
    func server() -> ChildProcess.Specification {
        let settings = [
            "port=\(SocketFolder.port)", "listen_addresses=", "unix_socket_directories=\(sockets.path)",
            "unix_socket_permissions=0700", "fsync=on", "synchronous_commit=on", "max_connections=200",
            "shared_buffers=128MB", "max_wal_size=1GB", "log_min_messages=warning",
        ]
        let command = [programs.path("postgres"), "-D", folder] + settings.flatMap { ["-c", $0] }
        // SIGINT is PostgreSQL's fast shutdown.
        return specification(
            OperatingSystemUser.command(command, as: user, whenParentDies: "INT"),
            output: logFile
        )
    }

    /// Stops a server that a killed launcher left behind.
    func stopLeftover() async throws {
        let control = [programs.path("pg_ctl"), "-D", folder]
        let status = try await ChildProcess.start(
            specification(
                OperatingSystemUser.command(control + ["status"], as: user, whenParentDies: nil),
                output: "/dev/null"
            )
        )
        guard await status.ended() == .exited(0) else { return }
        try await run(control + ["stop", "-m", "fast", "-w", "-t", "30"], what: "stopping the old database server")
    }

    private var connection: [String] { ["-h", sockets.path, "-p", "\(SocketFolder.port)"] }

    /// Whether the server answers.
    func isReady() async throws -> Bool {
        let words = [programs.path("pg_isready"), "-q"] + connection
        return try await ChildProcess.start(specification(words, output: "/dev/null")).ended() == .exited(0)
    }

    /// Creates the database if it is missing.
    func makeDatabase() async throws {
        let connection = connection + ["-U", Self.superuser]
        let query = "SELECT 1 / count(*) FROM pg_database WHERE datname = '\(Self.databaseName)'"
        let probe = [programs.path("psql")] + connection + ["-d", "postgres", "-c", query]
        let found = try await ChildProcess.start(specification(probe, output: "/dev/null")).ended()
        if found == .exited(0) { return }
        try await run(
            [programs.path("createdb")] + connection + [Self.databaseName],
            what: "making the database",
            asServer: false
        )
    }

    private func run(_ command: [String], what: String, asServer: Bool = true) async throws {
        let words = OperatingSystemUser.command(command, as: asServer ? user : nil, whenParentDies: "KILL")
        let status = try await ChildProcess.start(specification(words, output: logFile)).ended()
        guard status != .exited(0) else { return }
        throw ProcessFailure("\(what) failed (\(status)): \(LogTail.lastLine(of: logFile))")
    }

    /// Starts in `/`, which every user can enter.
    private func specification(_ words: [String], output: String?) -> ChildProcess.Specification {
        ChildProcess.Specification(
            executable: "/usr/bin/env",
            arguments: ["--chdir=/"] + words,
            environment: ["PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "PGPASSWORD": password],
            outputFile: output
        )
    }
}
