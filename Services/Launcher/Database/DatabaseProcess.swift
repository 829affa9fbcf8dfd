import Glibc
import ServiceRuntime
import Flows

/// The database with the rows: one that was configured, or a private server that runs with the system.
struct DatabaseProcess: Sendable {
    private struct Private: Sendable {
        let plan: SupervisedProcess.Plan
        let child: ChildProcess
        let database: PrivateDatabase
    }

    /// The database's address.
    let address: String
    private let own: Private?

    /// Starts a private server if no database is configured.
    ///
    /// - Throws: `ProcessFailure` if the folder or the server is not usable.
    static func start(
        _ configuration: SystemConfiguration,
        logs: String,
        console: Console
    ) async throws -> DatabaseProcess {
        if let address = configuration.database { return DatabaseProcess(address: address, own: nil) }
        let database = try await PrivateDatabase(data: configuration.data, logs: logs)
        try await database.stopLeftover()
        let plan = SupervisedProcess.Plan(
            name: "database",
            instance: 0,
            specification: database.server(),
            stopSignal: SIGINT
        )
        let child = try await ChildProcess.start(plan.specification)
        let process = DatabaseProcess(
            address: database.address,
            own: Private(plan: plan, child: child, database: database)
        )
        do {
            try await waitUntilReady(database, child, plan)
            try await database.makeDatabase()
        } catch {
            await process.stop()
            throw error
        }
        console.say("private PostgreSQL in \(database.folder)")
        return process
    }

    /// Waits until the server is ready, because crash recovery may take a while; a server that exits will not become
    /// ready.
    private static func waitUntilReady(
        _ database: PrivateDatabase,
        _ child: ChildProcess,
        _ plan: SupervisedProcess.Plan
    ) async throws {
        let end = ContinuousClock.now + .seconds(600)
        while try await !database.isReady() {
            let log = plan.specification.outputFile ?? ""
            if let status = child.status {
                throw ProcessFailure("the database does not start (\(status)): \(LogTail.lastLine(of: log))")
            }
            guard ContinuousClock.now < end else {
                throw ProcessFailure("the database is not ready after ten minutes: \(LogTail.lastLine(of: log))")
            }
            try await Task.sleep(for: .milliseconds(50))
        }
    }

    /// Stops the private server.
    func stop() async {
        await own?.child.stop(signal: SIGINT, patience: .seconds(15))
        cleanUp()
    }

    /// Removes what a private server leaves outside the data folder, once it has ended.
    func cleanUp() { own?.database.cleanUp() }

    /// The private server under supervision; nil if there is none.
    func supervised(keeper: StateKeeper, console: Console, isUp: Flag) -> SupervisedProcess? {
        own.map { SupervisedProcess($0.plan, running: $0.child, keeper: keeper, console: console, isUp: isUp) }
    }

    /// Its entries in the state file.
    var processes: [SystemState.Process] {
        guard let own else { return [] }
        return [
            SystemState.Process(name: "database", instance: 0, pid: own.child.id, restarts: 0)
        ]
    }
}
