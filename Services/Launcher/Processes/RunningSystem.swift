import Foundation
import Glibc
import HTTPClient
import LogAddresses
import Messages
import PostgresClient
import EmbeddingStore
import ServiceRuntime
import Bytes
import Flows
import MessageLogs
import UserModels

/// The whole system on one machine: everything is checked first, then started in order, and stopped in reverse order.
struct RunningSystem: Sendable {
    private let configuration: SystemConfiguration
    private let console: Console
    private let logger: Logger
    private let logs: String

    /// Creates a system that is not running yet.
    init(_ configuration: SystemConfiguration, console: Console, logger: Logger) {
        self.configuration = configuration
        self.console = console
        self.logger = logger
        logs = "\(configuration.data)/logs"
    }

    /// Runs the system until `shutdown`, and `body` while it is up.
    ///
    /// - Parameters:
    ///   - shutdown: stops the system; `body` is then cancelled.
    ///   - prepare: runs once the data folder is locked for this launcher, before anything else is checked.
    ///   - body: called once everything is ready. The system stays up if it returns true, and stops if false.
    /// - Throws: `ProcessFailure` that says what to do; nothing is left running.
    func run(
        until shutdown: Shutdown,
        prepare: @Sendable () async throws -> Void = {},
        whileUp body: @escaping @Sendable (SystemState) async throws -> Bool
    ) async throws {
        let lock = try takeFolder()
        defer { withExtendedLifetime(lock) {} }
        try await waitForLeftovers()
        try await prepare()
        if shutdown.isRequested { return }

        // Everything that can be refused is refused here, before the first process is started.
        let bundle = try loadBundle()
        let plan = try SystemPlan(configuration, logs: logs)
        try await Preflight.checkAddresses(configuration)
        let database = try await DatabaseProcess.start(configuration, logs: logs, console: console)
        do {
            let log = configuration.log ?? database.address
            let partitions = try await prepareStores(log: log, database: database.address, bundle: bundle)
            if shutdown.isRequested { return await database.stop() }
            let state = state(plan, database, log: log, bundle: bundle)
            try ScaleFiles(data: configuration.data).clear()
            try await run(plan, database, state, partitions, until: shutdown, whileUp: body)
        } catch {
            await database.stop()
            SystemState.remove(from: configuration.data)
            throw error
        }
    }

    // MARK: - Before the start

    private func takeFolder() throws -> FileLock {
        let data = configuration.data
        do throws(ProcessFailure) {
            try PrivateFile.makeFolder(data)
            try PrivateFile.makeFolder(logs, mode: 0o750)
            // The addresses in there contain passwords.
            try PrivateFile.makeFolder(SystemState.folder(in: data), mode: 0o700, isEnforced: true)
        } catch {
            throw ProcessFailure(
                "the data folder \(data) cannot be used: \(error). Name another with --data",
                exitCode: .configuration
            )
        }
        if let lock = try FileLock(folder: SystemState.folder(in: data)) { return lock }
        let owner = SystemState.read(from: data).map { " (process \($0.launcher))" } ?? ""
        throw ProcessFailure(
            "another userllm\(owner) runs on \(data): stop it first, or name another folder with --data",
            exitCode: .unavailable
        )
    }

    /// Waits for processes of a killed launcher, which end by themselves within seconds but hold its ports until then.
    private func waitForLeftovers() async throws {
        guard let old = SystemState.read(from: configuration.data) else { return }
        let end = ContinuousClock.now + .seconds(20)
        while old.processes.contains(where: \.isRunning), ContinuousClock.now < end {
            try await Task.sleep(for: .milliseconds(50))
        }
        SystemState.remove(from: configuration.data)
    }

    private func loadBundle() throws -> ModelBundle {
        do {
            return try ModelBundle.load(configuration.bundle)
        } catch {
            throw ProcessFailure(
                "the model bundle cannot be used: \(FailureText.sentence(error)). Name a whole one with --bundle, make one with "
                    + "`trainer export`, or run `userllm demo`, which trains a small one",
                exitCode: .configuration
            )
        }
    }

    /// Creates missing tables and topics.
    ///
    /// - Returns: how many partitions the processes of each kind share.
    private func prepareStores(
        log address: String,
        database: String,
        bundle: ModelBundle
    ) async throws -> [ServiceKind: Int] {
        let table = try await EmbeddingTable(database: database)
        do {
            try await table.migrate()
            try await Preflight.checkVersion(of: bundle, against: table, configuration)
        } catch {
            await table.close()
            throw error
        }
        await table.close()
        let topics = try await withLog(address) { log in
            let needed = try await self.topics(on: log)
            try await log.createTopics(needed)
            return needed
        }
        var partitions: [ServiceKind: Int] = [:]
        for kind in ServiceKind.allCases {
            let topic = topics.first { $0.name == kind.sharedTopic?.rawValue }
            partitions[kind] = topic.map { Int($0.partitionCount) }
        }
        return partitions
    }

    /// All topics; existing ones keep their number of partitions.
    private func topics(on log: any MessageLog) async throws -> [TopicSpecification] {
        var topics: [TopicSpecification] = []
        for var topic in TopicSpecification.system(partitionCount: Int32(configuration.partitions)) {
            if let count = try await log.partitionCount(of: topic.name) { topic.partitionCount = count }
            topics.append(topic)
        }
        return topics
    }

    private func state(
        _ plan: SystemPlan,
        _ database: DatabaseProcess,
        log: String,
        bundle: ModelBundle
    ) -> SystemState {
        SystemState(
            launcher: getpid(),
            log: log,
            database: database.address,
            bundle: configuration.bundle,
            modelVersion: bundle.version,
            gateways: plan.addresses(of: .gateway, among: plan.members),
            ingestors: plan.addresses(of: .eventIngestor, among: plan.members),
            isUp: false,
            processes: database.processes + plan.members.map(\.state)
        )
    }

    // MARK: - While it runs

    private func run(
        _ plan: SystemPlan,
        _ database: DatabaseProcess,
        _ state: SystemState,
        _ partitions: [ServiceKind: Int],
        until shutdown: Shutdown,
        whileUp body: @escaping @Sendable (SystemState) async throws -> Bool
    ) async throws {
        let keeper = try StateKeeper(state, folder: configuration.data)
        let isUp = Flag()
        let supervise: @Sendable (SystemPlan.Member, Flag) -> SupervisedProcess = { [console] member, wasReady in
            let process = plan.process(member, log: state.log, database: state.database)
            return SupervisedProcess(process, keeper: keeper, console: console, isUp: wasReady)
        }
        let streams = ProcessStage("streams")
        let http = ProcessStage("http")
        let stage: @Sendable (ServiceKind) -> ProcessStage = { $0.sharedTopic == nil ? http : streams }
        let running = plan.members.compactMap { member in
            stage(member.kind).add(supervise(member, isUp), isEssential: true).map { (member, $0) }
        }
        var services: [any Service] = []
        if let process = database.supervised(keeper: keeper, console: console, isUp: isUp) {
            let stage = ProcessStage("database")
            stage.add(process, isEssential: true)
            services.append(stage)
        }
        let readiness = Readiness(partitions: partitions)
        services += [streams, http]
        services.append(
            ServiceFunction("up") { stop in
                let ready = try await stop.cancelling {
                    try await readiness.wait(for: plan.members, within: configuration.readyWithin)
                    return true
                }
                guard ready == true else { return }
                isUp.set()
                try await keeper.up()
                let staysUp = try await stop.cancelling { try await body(state) }
                if staysUp == true { await stop.requested() }
            }
        )
        let scaling = Scaling.Parts(
            files: ScaleFiles(data: configuration.data),
            plan: plan,
            running: running,
            stage: stage,
            supervise: supervise,
            readiness: readiness,
            partitions: partitions,
            keeper: keeper,
            console: console,
            isUp: isUp
        )
        services.append(Scaling(scaling))
        var options = ServiceGroup.Options()
        options.handlesSignals = false
        // Each stage has its own time limit, after which it kills its processes.
        options.shutdownDeadline = .seconds(60)
        defer {
            SystemState.remove(from: configuration.data)
            database.cleanUp()
        }
        try await ServiceGroup(services, logger: logger, options: options).run(stop: shutdown)
    }
}
