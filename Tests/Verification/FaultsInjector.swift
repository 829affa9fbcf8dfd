import Foundation
import Glibc
import Bytes
import LogAddresses
import Messages
import ServiceRuntime
import MessageLogs

/// Makes faults happen to a running system.
actor FaultsInjector {
    /// A fault that could not be done now, because another one is at work on the same thing.
    private struct NotNow: Error {
        let reason: String
    }

    /// A stop waits for the outcome of a commit, and so for a broker that was killed: on a busy machine one takes half a
    /// minute to be back.
    private static let endPatience: Duration = .seconds(120)

    private let system: LocalSystem
    private let broker: KafkaBroker?
    private let link: FaultsLink
    private let state: SystemFiles
    private let bundle: String
    private let folder: String
    private let disk: FullDisk?
    private let withoutProtection: String
    private let ledger: FaultsLedger
    private let say: @Sendable (String) -> Void
    private var additional: [ServiceProcess] = []
    private var additionalWriter: ServiceProcess?
    private var additionalCount = 0
    private var poisonCount = 0

    /// How often each fault was done, by name.
    private(set) var done: [String: Int] = [:]
    /// How often one could not be done.
    private(set) var skipped = 0
    /// What did not go as it must: a process that did not end on SIGTERM.
    private(set) var problems: [String] = []

    init(
        _ system: LocalSystem,
        broker: KafkaBroker?,
        link: FaultsLink,
        disk: FullDisk?,
        bundle: String,
        folder: String,
        withoutProtection: String,
        ledger: FaultsLedger,
        say: @escaping @Sendable (String) -> Void
    ) throws {
        self.system = system
        self.broker = broker
        self.link = link
        self.disk = disk
        self.bundle = bundle
        self.folder = folder
        self.withoutProtection = withoutProtection
        self.ledger = ledger
        self.say = say
        state = try system.state()
    }

    /// Does the faults of a schedule, each at its time, and ends when the last is over.
    nonisolated func run(_ schedule: FaultsSchedule) async throws {
        let start = ContinuousClock.now
        try await addWorker()
        try await withThrowingTaskGroup(of: Void.self) { group in
            for fault in schedule.faults {
                try await Task.sleep(until: start + .seconds(fault.at))
                group.addTask { await self.perform(fault) }
            }
            try await group.waitForAll()
        }
    }

    private func perform(_ fault: Fault) async {
        do {
            say("\(fault)")
            try await act(fault)
            let name = fault.kind == .failpoint ? String(fault.target.prefix { $0 != ":" }) : fault.name
            done[name, default: 0] += 1
        } catch {
            skipped += 1
            say("\(fault): left out, \((error as? NotNow)?.reason ?? "\(error)")")
        }
    }

    private func act(_ fault: Fault) async throws {
        switch fault.kind {
        case .kill: _ = Glibc.kill(try process(fault.target, fault.instance), SIGKILL)
        case .terminate: try await terminate(fault)
        case .stop: try await hold([process(fault.target, fault.instance)], fault.duration)
        case .stopAdditional:
            if !additional.contains(where: { $0.status == nil }) { try await addWorker() }
            guard let worker = additional.last else { throw NotNow(reason: "there is no additional worker") }
            worker.signal(SIGSTOP)
            await pause(fault.duration)
            worker.signal(SIGCONT)
        case .killDatabase: _ = Glibc.kill(try process("database", 0), SIGKILL)
        case .stopDatabase:
            let first = try process("database", 0)
            // The first process stopped starts no others.
            _ = Glibc.kill(first, SIGSTOP)
            try await hold([first] + ProcessTable.children(of: first), fault.duration)
        case .fillDisk:
            guard let disk else { throw NotNow(reason: "the disk cannot be filled") }
            try disk.fill()
            await pause(fault.duration)
            disk.free()
        case .cutConnections:
            _ = try await FaultsDatabase.reading(state.database) { try await $0.cutConnections(share: 0.5) }
        case .killBroker:
            await broker?.kill()
            await pause(fault.duration)
            try await broker?.startAgain()
        case .stopBroker:
            broker?.signal(SIGSTOP)
            await pause(fault.duration)
            broker?.signal(SIGCONT)
        case .holdNetwork:
            try await addProcess(of: fault.target)
            link.hold()
            await pause(fault.duration)
            link.release()
        case .poison: try await poison(fault.instance)
        case .moreWorkers: try await addWorker()
        case .fewerWorkers: try await removeWorker()
        case .failpoint: try await fail(fault)
        }
    }

    /// Everything that may still be held goes on, and what was added ends.
    func heal() async {
        for process in (try? system.state().processes) ?? [] where process.pid > 0 {
            for pid in [process.pid] + ProcessTable.children(of: process.pid) { _ = Glibc.kill(pid, SIGCONT) }
        }
        disk?.free()
        link.release()
        broker?.signal(SIGCONT)
        try? await broker?.startAgain()
        while !additional.isEmpty { try? await removeWorker() }
        if let writer = additionalWriter.take() { await end(writer) }
    }

    /// Ends additional processes at once, after a run that failed.
    func abandon() {
        for process in additional + [additionalWriter].compactMap({ $0 }) { process.signal(SIGKILL) }
    }

    private func pause(_ seconds: Double) async {
        // Whatever is held must go on even if the run is given up, so the wait is cut short and not left.
        try? await Task.sleep(for: .seconds(seconds))
    }

    // MARK: - Processes of the launcher

    private func process(_ name: String, _ instance: Int) throws -> Int32 {
        let found = system.files?.processes.first { $0.name == name && $0.instance == instance }
        guard let found, found.pid > 0, ProcessTable.isAlive(found.pid) else {
            throw NotNow(reason: "\(name) \(instance) does not run now")
        }
        return found.pid
    }

    private func hold(_ processes: [Int32], _ seconds: Double) async throws {
        for process in processes { _ = Glibc.kill(process, SIGSTOP) }
        await pause(seconds)
        for process in processes.reversed() { _ = Glibc.kill(process, SIGCONT) }
    }

    private func terminate(_ fault: Fault) async throws {
        let pid = try process(fault.target, fault.instance)
        guard !ProcessTable.isStopped(pid) else { throw NotNow(reason: "\(fault.target) is stopped") }
        _ = Glibc.kill(pid, SIGTERM)
        do {
            try await poll("it has ended", within: Self.endPatience) { !ProcessTable.isAlive(pid) }
        } catch is VerificationError {
            problems.append("\(fault.target) \(fault.instance) did not end within \(Self.endPatience) of SIGTERM")
        }
    }

    // MARK: - Additional processes

    private func options(_ program: String) -> ServiceProcess.Options {
        additionalCount += 1
        var options = ServiceProcess.Options(
            program,
            instance: "additional-\(additionalCount)",
            log: link.log,
            database: state.database,
            bundle: bundle,
            folder: folder
        )
        options.sessionTimeout = .seconds(3)
        options.withoutProtection = withoutProtection
        return options
    }

    private func addWorker() async throws {
        // One that ended because the log was away for long is what a supervisor would start again.
        additional.removeAll { $0.status != nil }
        guard additional.count < 3 else { throw NotNow(reason: "there are three additional workers") }
        let worker = try await ServiceProcess.start(options("encoder-worker"))
        additional.append(worker)
        _ = try? await worker.waitUntilReady(within: .seconds(10))
    }

    private func removeWorker() async throws {
        guard let worker = additional.popLast() else { throw NotNow(reason: "there is no additional worker") }
        await end(worker)
    }

    private func end(_ process: ServiceProcess) async {
        let wasRunning = process.status == nil
        process.signal(SIGCONT)
        let status = await process.stop(patience: Self.endPatience)
        if wasRunning, status == .signalled(SIGKILL) {
            problems.append("\(process.name) did not end within \(Self.endPatience) of SIGTERM")
        }
    }

    /// Sees to it that an additional process of a service runs.
    private func addProcess(of program: String) async throws {
        if program == "encoder-worker" {
            if !additional.contains(where: { $0.status == nil }) { try await addWorker() }
        } else if additionalWriter?.status != nil || additionalWriter == nil {
            let writer = try await ServiceProcess.start(options(program))
            additionalWriter = writer
            _ = try? await writer.waitUntilReady(within: .seconds(10))
        }
    }

    /// Starts a process that fails at a place of its commit, and waits until it has, or for a while.
    private func fail(_ fault: Fault) async throws {
        let program = fault.target.hasPrefix("writer") ? "embedding-writer" : "encoder-worker"
        var options = options(program)
        options.failpoints = "\(fault.target)@\(fault.instance)"
        let process = try await ServiceProcess.start(options)
        _ = try? await process.waitUntilEnded(within: .seconds(fault.duration))
        process.signal(SIGCONT)
        guard process.status == nil else { return }
        await process.stop(patience: Self.endPatience)
        throw NotNow(reason: "it did not come to that place")
    }

    // MARK: - Records that are no events

    private func poison(_ count: Int) async throws {
        let log = try await openLog(state.log)
        for _ in 0..<count {
            poisonCount += 1
            let key = "poison-\(poisonCount)"
            do {
                var record = Self.poison(poisonCount, key: key)
                // What is no event is rejected where it lies, wherever that is.
                if poisonCount.isMultiple(of: 2) {
                    record.partition = Int32(poisonCount / 2 % FaultsVerification.partitions)
                }
                try await log.append([record])
                await ledger.poisons(key)
            } catch {
                // It may be in the log all the same: the next one has another key, and this one counts as unknown.
                await ledger.mayPoison(key)
            }
        }
        await log.close()
    }

    private static func poison(_ number: Int, key: String) -> OutgoingRecord {
        let user = "{\"user\":\"\(key)\",\"item\":\"f1\",\"time\":1700000000000"
        let json = Header(ContentType.header, "application/json")
        let (value, headers): ([UInt8], [Header]) =
            switch number % 5 {
            case 0: ([0xff, 0x00, 0xfe, 0x80], [])
            case 1: (Array("\(user)}".utf8), [Header(ContentType.header, "application/x-unknown")])
            case 2: ([UInt8](repeating: 0xff, count: 1_040_000), [])
            case 3: (Array("\(user),\"rating\":NaN}".utf8), [json])
            default: (Array("{\"user\":\"somebody else\",\"item\":\"f1\",\"time\":1700000000000}".utf8), [json])
            }
        return OutgoingRecord(topic: Topic.userEvents.rawValue, key: Array(key.utf8), value: value, headers: headers)
    }
}
