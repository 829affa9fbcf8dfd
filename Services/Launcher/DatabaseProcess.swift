import Glibc
import ServiceRuntime
import StreamProcessing

/// The database with the rows: one that was named, or a private server that runs with the system.
struct DatabaseProcess: Sendable {
    private struct Private: Sendable {
        let plan: SupervisedProcess.Plan
        let child: ChildProcess
        let port: Int
    }

    /// The database's address.
    let address: String
    private let own: Private?

    /// Starts a private server if no database is named.
    ///
    /// - Throws: `ProcessFailure` when the folder or the server is not usable.
    static func start(
        _ configuration: SystemConfiguration,
        logs: String,
        console: Console
    ) async throws -> DatabaseProcess {
        if let address = configuration.database { return DatabaseProcess(address: address, own: nil) }
        let database = try await PrivateDatabase(data: configuration.data, logs: logs)
        try await database.stopLeftover()
        let port = try LocalPort.free()
        let plan = SupervisedProcess.Plan(
            name: "database",
            instance: 0,
            specification: database.server(port: port),
            stopSignal: SIGINT
        )
        let child = try await ChildProcess.start(plan.specification)
        let process = DatabaseProcess(
            address: database.address(port: port),
            own: Private(plan: plan, child: child, port: port)
        )
        do {
            try await waitUntilReady(database, child, port: port, plan)
            try await database.makeDatabase(port: port)
        } catch {
            await process.stop()
            throw error
        }
        console.say("private PostgreSQL in \(database.folder), port \(port)")
        return process
    }

    /// Recovery after a crash may take a while; a server that ends will not become ready.
    private static func waitUntilReady(
        _ database: PrivateDatabase,
        _ child: ChildProcess,
        port: Int,
        _ plan: SupervisedProcess.Plan
    ) async throws {
        let end = ContinuousClock.now + .seconds(120)
        while try await !database.isReady(port: port) {
            let log = plan.specification.outputFile ?? ""
            if let status = child.status {
                throw ProcessFailure("the database does not start (\(status)): \(LogTail.lastLine(of: log))")
            }
            guard ContinuousClock.now < end else {
                throw ProcessFailure("the database is not ready after two minutes: \(LogTail.lastLine(of: log))")
            }
            try await Task.sleep(for: .milliseconds(50))
        }
    }

    /// Ends the private server.
    func stop() async {
        await own?.child.stop(signal: SIGINT, patience: .seconds(15))
    }

    /// The private server under supervision; nil when there is none.
    func supervised(keeper: StateKeeper, console: Console, isUp: Flag) -> SupervisedProcess? {
        own.map { SupervisedProcess($0.plan, running: $0.child, keeper: keeper, console: console, isUp: isUp) }
    }

    /// What is written down of it.
    var processes: [SystemState.Process] {
        guard let own else { return [] }
        return [
            SystemState.Process(name: "database", instance: 0, pid: own.child.id, port: own.port, restarts: 0)
        ]
    }
}
