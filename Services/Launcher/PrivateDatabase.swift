import Foundation
import ServiceRuntime

/// A PostgreSQL cluster of our own in a folder, reachable over the loopback address with a password.
///
/// PostgreSQL does not run as root; as root the folder belongs to the user `postgres` and the server runs as that user.
struct PrivateDatabase: Sendable {
    private static let superuser = "userllm"
    private static let databaseName = "userllm"
    private static let rootSubstitute = "postgres"

    /// The cluster's folder.
    let folder: String
    private let passwordFile: String
    private let logFile: String
    private let programs: PostgresPrograms
    private let password: String
    private let user: String?

    /// Looks at the folder, and makes the cluster when there is none.
    ///
    /// - Parameters:
    ///   - data: the system's data folder, which exists.
    ///   - logs: the folder for log files.
    /// - Throws: `ProcessFailure` that says what to do.
    init(data: String, logs: String) async throws {
        folder = "\(data)/database"
        passwordFile = "\(data)/database-password"
        logFile = "\(logs)/database.log"
        programs = try PostgresPrograms.forCluster(in: folder)
        user = OperatingSystemUser.isRoot ? Self.rootSubstitute : nil
        if FileManager.default.fileExists(atPath: folder) {
            password = try Self.readPassword(passwordFile, for: folder)
            try await checkAccess(to: folder)
        } else {
            password = Self.makePassword()
            try await make()
        }
    }

    /// The address of the database on a port.
    func address(port: Int) -> String {
        "postgresql://\(Self.superuser):\(password)@127.0.0.1:\(port)/\(Self.databaseName)"
    }

    // MARK: - Making the cluster

    /// Makes the cluster under another name first, so that a folder of the right name is always a whole one.
    private func make() async throws {
        let draft = "\(folder).new"
        let draftPassword = "\(draft).password"
        try? FileManager.default.removeItem(atPath: draft)
        try FileManager.default.createDirectory(
            atPath: draft,
            withIntermediateDirectories: true,
            attributes: [.posixPermissions: 0o700]
        )
        try own(draft)
        try await checkAccess(to: draft)
        try write(password, to: draftPassword)
        defer { try? FileManager.default.removeItem(atPath: draftPassword) }
        try own(draftPassword)
        let options = [
            "--pgdata=\(draft)", "--username=\(Self.superuser)", "--auth=scram-sha-256", "--pwfile=\(draftPassword)",
            "--encoding=UTF8", "--locale=C.UTF-8", "--no-instructions",
        ]
        try await run([programs.path("initdb")] + options, what: "making a database in \(folder)")
        try write(password, to: passwordFile)
        try FileManager.default.moveItem(atPath: draft, toPath: folder)
    }

    private static func makePassword() -> String {
        var generator = SystemRandomNumberGenerator()
        return (0..<4).map { _ in
            let digits = String(UInt64.random(in: 0...UInt64.max, using: &generator), radix: 16)
            return String(repeating: "0", count: 16 - digits.count) + digits
        }.joined()
    }

    private static func readPassword(_ file: String, for folder: String) throws(ProcessFailure) -> String {
        guard let text = try? String(contentsOfFile: file, encoding: .utf8), !text.isEmpty else {
            throw ProcessFailure(
                "\(folder) is there but its password in \(file) is not: restore that file, "
                    + "or name another folder with --data",
                exitCode: .configuration
            )
        }
        return text.trimmingCharacters(in: .whitespacesAndNewlines)
    }

    private func write(_ secret: String, to path: String) throws {
        try? FileManager.default.removeItem(atPath: path)
        let made = FileManager.default.createFile(
            atPath: path,
            contents: Data(secret.utf8),
            attributes: [.posixPermissions: 0o600]
        )
        if !made { throw ProcessFailure("\(path) cannot be written", exitCode: .configuration) }
    }

    private func own(_ path: String) throws {
        guard let user else { return }
        guard OperatingSystemUser.exists(user) else {
            throw ProcessFailure(
                "PostgreSQL does not run as root, and there is no user \(user) to run it as: run as another user, "
                    + "or name a database with --database postgresql://...",
                exitCode: .configuration
            )
        }
        try FileManager.default.setAttributes(
            [.ownerAccountName: user, .groupOwnerAccountName: user],
            ofItemAtPath: path
        )
    }

    /// The server must be able to enter the folder, which a home folder above it may forbid.
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

    /// How to start the server.
    func server(port: Int) -> ChildProcess.Specification {
        // Loopback only and no socket file: the data folder's path may be longer than a socket's name can be.
        let settings = [
            "port=\(port)", "listen_addresses=127.0.0.1", "unix_socket_directories=", "fsync=on",
            "synchronous_commit=on", "max_connections=200", "shared_buffers=128MB", "max_wal_size=1GB",
            "tcp_user_timeout=10000", "log_min_messages=warning",
        ]
        let command = [programs.path("postgres"), "-D", folder] + settings.flatMap { ["-c", $0] }
        // SIGINT is PostgreSQL's fast shutdown.
        return specification(
            OperatingSystemUser.command(command, as: user, whenParentDies: "INT"),
            output: logFile
        )
    }

    /// Ends a server that a launcher which was killed left behind.
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

    /// Whether the server answers.
    func isReady(port: Int) async throws -> Bool {
        let words = [programs.path("pg_isready"), "-q", "-h", "127.0.0.1", "-p", "\(port)"]
        return try await ChildProcess.start(specification(words, output: "/dev/null")).ended() == .exited(0)
    }

    /// Makes the database when it is not there.
    func makeDatabase(port: Int) async throws {
        let connection = ["-h", "127.0.0.1", "-p", "\(port)", "-U", Self.superuser]
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
        let words = OperatingSystemUser.command(command, as: asServer ? user : nil, whenParentDies: nil)
        let status = try await ChildProcess.start(specification(words, output: logFile)).ended()
        guard status != .exited(0) else { return }
        throw ProcessFailure("\(what) failed (\(status)): \(LogTail.lastLine(of: logFile))")
    }

    /// Starts in `/`, where every user may be.
    private func specification(_ words: [String], output: String?) -> ChildProcess.Specification {
        ChildProcess.Specification(
            executable: "/usr/bin/env",
            arguments: ["--chdir=/"] + words,
            environment: ["PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "PGPASSWORD": password],
            outputFile: output
        )
    }
}
