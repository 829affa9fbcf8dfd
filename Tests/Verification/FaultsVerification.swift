import Datasets
import Foundation
import HTTPClient
import Bytes
import LogAddresses
import Messages
import ServiceRuntime
import Flows
import MessageLogs

/// Runs the whole system under load while things go wrong, and holds it to its promises afterwards.
public struct FaultsVerification: Sendable {
    /// What to run.
    public struct Options: Sendable {
        /// Over Kafka, else over PostgreSQL.
        public var overKafka: Bool
        /// How long things go wrong.
        public var duration: Duration
        /// Of the faults and of the load.
        public var seed: UInt64
        /// How long the system may take, once nothing goes wrong any more, until it has done all its work.
        ///
        /// A rebalance waits for a member whose session the broker forgot for `max.poll.interval.ms`, a minute.
        public var healsWithin: Duration = .seconds(300)
        /// Whether the database lies on a small disk that can be filled, where this process may mount one.
        public var fillsDisk = true
        /// What may go wrong; empty stands for everything that can.
        public var kinds: Set<Fault.Kind> = []
        /// How many questions are asked in a second.
        public var questionsPerSecond = 1.0
        /// Protections that the additional processes go without, as `USERLLM_WITHOUT_PROTECTION` has them: to see that
        /// the checks notice.
        public var withoutProtection = ""

        /// Makes options.
        public init(overKafka: Bool, duration: Duration, seed: UInt64) {
            self.overKafka = overKafka
            self.duration = duration
            self.seed = seed
        }
    }

    /// What came of it.
    public struct Result: Codable, Sendable {
        /// The seed of faults and load.
        public var seed: UInt64
        /// How long things went wrong, in seconds.
        public var seconds: Double
        /// How often each fault happened.
        public var faults: [String: Int]
        /// Faults that found nothing to do, because another one was at work on the same.
        public var leftOut: Int
        /// How often the launcher started a process again.
        public var restarts: Int
        /// Events that were acknowledged.
        public var acknowledgedEvents: Int
        /// Requests whose fate was unknown and that were sent again.
        public var repeatedRequests: Int
        /// Questions that were acknowledged, each of which has one answer.
        public var questions: Int
        /// How often rows and offsets were looked at meanwhile.
        public var looks: Int
        /// From the end of the last fault until all was done and everybody ready, in seconds.
        public var healedAfter: Double
        /// What topics, offsets and rows hold.
        public var findings: FaultsCheck.Findings
        /// Offsets that went back because the broker forgot them, as it says itself; nothing else may come of it.
        public var forgottenOffsets: [String]
        /// What is wrong; empty when all is right.
        public var problems: [String]
        /// What was to go wrong, in order.
        public var schedule: [Fault]
        /// Where everything is kept; nil when it was taken away.
        public var folder: String?
        /// Whether every promise was kept.
        public var isRight: Bool { problems.isEmpty }
    }

    let options: Options
    private let say: @Sendable (String) -> Void
    static let partitions = 4
    private static let workers = 2
    private static let ingestors = 2

    /// Prepares it.
    ///
    /// - Parameters:
    ///   - options: what to run.
    ///   - say: is told what happens.
    public init(_ options: Options, say: @escaping @Sendable (String) -> Void = { _ in }) {
        self.options = options
        self.say = say
    }

    /// Runs it; the folder is kept when something is wrong, but not when the task is cancelled.
    public func run() async throws -> Result {
        let folder = try LocalSystem.makeFolder()
        let disk = options.fillsDisk ? await FullDisk.mount(in: folder) : nil
        if options.fillsDisk, disk == nil {
            say("skipped: no full disk, because this process may not mount a small one")
        }
        if let disk { say("the database is on a disk in memory, mounted at \(disk.path)") }
        do {
            var result = try await run(in: folder, disk)
            await takeAway(disk, folder, isKept: !result.isRight)
            if !result.isRight { result.folder = folder }
            return result
        } catch {
            await takeAway(disk, folder, isKept: !Task.isCancelled)
            try Task.checkCancellation()
            throw VerificationError("\(error)\nseed \(options.seed); everything is kept in \(folder)")
        }
    }

    /// Unmounts the disk however the run went: nobody would do it later.
    private func takeAway(_ disk: FullDisk?, _ folder: String, isKept: Bool) async {
        await disk?.unmount(keepingIn: isKept ? "\(folder)/kept-disk" : nil)
        if !isKept { try? FileManager.default.removeItem(atPath: folder) }
    }

    private func run(in folder: String, _ disk: FullDisk?) async throws -> Result {
        let broker =
            options.overKafka
            ? try await KafkaBroker.start(
                in: folder,
                settings: ["group.min.session.timeout.ms=1000"],
                isLinked: true
            ) : nil
        do {
            let result = try await run(in: folder, broker, disk)
            await broker?.stop()
            return result
        } catch {
            await broker?.stop()
            throw error
        }
    }

    private func run(in folder: String, _ broker: KafkaBroker?, _ disk: FullDisk?) async throws -> Result {
        let bundle = "\(folder)/bundle"
        try SmallBundle.write(to: bundle, catalogue: SyntheticWorld().catalogue)
        let system = try await start(in: folder, bundle: bundle, broker, disk)
        do {
            let result = try await run(system, bundle: bundle, folder, broker, disk)
            await system.stop()
            return result
        } catch {
            await system.stop()
            throw error
        }
    }

    private func start(
        in folder: String,
        bundle: String,
        _ broker: KafkaBroker?,
        _ disk: FullDisk?
    ) async throws -> LocalSystem {
        var system = LocalSystem.Options(log: broker?.address, bundle: bundle)
        system.encoderWorkers = Self.workers
        system.partitions = Self.partitions
        system.further = ["--event-ingestors", "\(Self.ingestors)"]
        let started = try await LocalSystem.start(system, in: folder)
        guard let disk else { return started }
        // A cluster is made beside its folder and renamed, which no mount point can be; so it moves once it is there.
        await started.stop()
        let move = ChildProcess.Specification(
            executable: "/usr/bin/mv",
            arguments: ["\(started.data)/database", "\(disk.path)/database"],
            environment: [:]
        )
        guard try await ChildProcess.start(move).ended() == .exited(0) else {
            throw VerificationError("the database cannot be moved to \(disk.path)")
        }
        try FileManager.default.createSymbolicLink(
            atPath: "\(started.data)/database",
            withDestinationPath: "\(disk.path)/database"
        )
        return try await LocalSystem.start(system, in: folder)
    }

    // MARK: - Load and faults

    private func run(
        _ system: LocalSystem,
        bundle: String,
        _ folder: String,
        _ broker: KafkaBroker?,
        _ disk: FullDisk?
    ) async throws -> Result {
        let state = try system.state()
        let seconds = options.duration / .seconds(1)
        var limits = FaultsSchedule.Options(hasBroker: broker != nil, seconds: seconds)
        limits.canFillDisk = disk != nil
        limits.workers = Self.workers
        limits.ingestors = Self.ingestors
        limits.kinds = options.kinds
        limits.commitsApart = options.withoutProtection.contains("atomic-commit")
        let schedule = FaultsSchedule(seed: options.seed, limits)
        let ledger = FaultsLedger()
        let link = try broker.flatMap { FaultsLink($0) } ?? FaultsLink(database: state.log)
        defer { link.close() }
        let injector = try FaultsInjector(
            system,
            broker: broker,
            link: link,
            disk: disk,
            bundle: bundle,
            folder: folder,
            withoutProtection: options.withoutProtection,
            ledger: ledger,
            say: say
        )
        let watch = FaultsWatch(log: state.log, database: state.database)
        var load = FaultsLoad.Options()
        load.seed = options.seed
        load.questions = options.questionsPerSecond
        let healedAfter: Duration
        do {
            healedAfter = try await disturb(
                system,
                FaultsLoad(system: system, ledger: ledger, log: state.log, options: load),
                injector,
                schedule,
                watch
            )
        } catch {
            await injector.heal()
            await injector.abandon()
            throw error
        }
        say("healed; folding the log to compare")
        return try await result(system, bundle, broker, schedule, ledger, injector, watch, healedAfter)
    }

    /// Lets things go wrong under load, and waits until all is well again.
    ///
    /// - Returns: how long that took.
    private func disturb(
        _ system: LocalSystem,
        _ load: FaultsLoad,
        _ injector: FaultsInjector,
        _ schedule: FaultsSchedule,
        _ watch: FaultsWatch
    ) async throws -> Duration {
        let loadStop = Shutdown()
        let watchStop = Shutdown()
        return try await withThrowingTaskGroup(of: Duration?.self) { group in
            group.addTask {
                try await watch.run(until: watchStop)
                return nil
            }
            group.addTask {
                async let loading: Void = load.run(until: loadStop)
                try await injector.run(schedule)
                await injector.heal()
                loadStop.request()
                let start = ContinuousClock.now
                say("no more faults; waiting until all is done")
                try await loading
                try await healed(system)
                watchStop.request()
                return ContinuousClock.now - start
            }
            var duration: Duration?
            while let next = try await group.next() { duration = next ?? duration }
            return duration ?? .zero
        }
    }

    /// Waits until everybody is ready and nothing is left to read.
    private func healed(_ system: LocalSystem) async throws {
        let state = try system.state()
        let end = ContinuousClock.now + options.healsWithin
        var open = "nothing was asked"
        while true {
            if let reason = try await Self.notReady(system) {
                open = reason
            } else if let reason = await Self.notDrained(state.log) {
                open = reason
            } else {
                return
            }
            guard ContinuousClock.now < end else {
                throw VerificationError("\(options.healsWithin.configurationText) after the last fault: \(open)")
            }
            try await Task.sleep(for: .milliseconds(200))
        }
    }

    private static func notReady(_ system: LocalSystem) async throws -> String? {
        guard let processes = system.files?.processes else {
            throw VerificationError("the launcher ended: \(system.printed.suffix(2_000))")
        }
        for process in processes {
            guard process.pid > 0 else { return "\(process.name) \(process.instance) does not run" }
            guard let port = process.adminPort else { continue }
            let request = HTTPClientRequest("GET", "http://127.0.0.1:\(port)/readyz", timeout: .seconds(2))
            let response = try? await HTTPClient().send(request)
            guard response?.status == 200 else {
                return "\(process.name) \(process.instance) is not ready: \(response?.text ?? "no answer")"
            }
        }
        return nil
    }

    private static func notDrained(_ address: String) async -> String? {
        do {
            let log = try await openLog(address)
            var open: String?
            let groups = [
                (ConsumerGroup.encoderWorker, Topic.userEvents), (ConsumerGroup.embeddingWriter, .userEmbeddings),
                (ConsumerGroup.llmResponder, .questions),
            ]
            for (group, topic) in groups where open == nil {
                let lag = try await log.lag(group: group, topic: topic.rawValue)
                if lag > 0 { open = "\(group) has \(lag) records of \(topic.rawValue) to read" }
            }
            await log.close()
            return open
        } catch {
            return "\(error)"
        }
    }
}
