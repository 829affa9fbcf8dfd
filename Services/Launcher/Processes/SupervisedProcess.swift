import Concurrency
import Flows
import Glibc
import ServiceRuntime

/// A process that is started, restarted with back-off when it dies, and stopped with the system.
struct SupervisedProcess: Service {
    /// How to start a process, and what is known about it.
    struct Plan: Sendable {
        let name: String
        let instance: Int
        let specification: ChildProcess.Specification
        /// The signal that asks it to stop.
        var stopSignal: Int32 = SIGTERM

        /// Its name for people.
        var label: String { instance == 0 ? name : "\(name) \(instance)" }
    }

    /// How often a process may die before it was ever ready until the start is given up.
    private static let attemptLimit = 5
    /// A process that ran for this long has recovered: its next death counts as the first.
    private static let recoveredAfter: Duration = .seconds(30)
    /// How long a process may take to stop before it is killed.
    static let patience: Duration = .seconds(12)
    /// Exit codes that a restart does not fix.
    private static let permanent: [ExitCode] = [.usage, .configuration, .badInput]

    var name: String { plan.label }
    private let plan: Plan
    private let first: ChildProcess?
    private let keeper: StateKeeper
    private let console: Console
    private let isUp: Flag
    /// Whether it had to be killed in the end.
    let wasKilled = Flag()

    /// Creates a supervisor of one process.
    ///
    /// - Parameters:
    ///   - plan: the process.
    ///   - first: the process itself if it is already running.
    ///   - keeper: receives each start and end.
    ///   - console: receives messages for people.
    ///   - isUp: whether the whole system was ready once.
    init(_ plan: Plan, running first: ChildProcess? = nil, keeper: StateKeeper, console: Console, isUp: Flag) {
        self.plan = plan
        self.first = first
        self.keeper = keeper
        self.console = console
        self.isUp = isUp
    }

    /// Keeps the process running until the service is to stop.
    func run(until shutdown: Shutdown) async throws {
        var backoff = Backoff(first: .milliseconds(200), limit: .seconds(10))
        var deaths = 0
        var next = first
        while !shutdown.isRequested {
            let isRestart = deaths > 0
            let child: ChildProcess
            if let running = next { child = running } else { child = try await .start(plan.specification) }
            next = nil
            let start = ContinuousClock.now
            try await keeper.started(plan.name, instance: plan.instance, pid: child.id, isRestart: isRestart)
            let status = await end(of: child, or: shutdown)
            try await keeper.ended(plan.name, instance: plan.instance)
            guard let status else { return }

            deaths += 1
            if ContinuousClock.now - start > Self.recoveredAfter { backoff.reset() }
            guard try await shouldRestart(after: status, deaths: deaths) else { return await shutdown.requested() }
            let pause = backoff.next()
            console.say("\(plan.label) ended (\(status)); starting it again in \(Self.text(pause))")
            try? await shutdown.wait(atMost: pause)
        }
    }

    /// Waits for the process to end by itself; stops it on shutdown.
    ///
    /// - Returns: nil after a shutdown.
    private func end(of child: ChildProcess, or shutdown: Shutdown) async -> ChildProcess.Status? {
        await withTaskGroup(of: ChildProcess.Status?.self) { group in
            group.addTask {
                await shutdown.requested()
                guard shutdown.isRequested else { return nil }
                let status = await child.stop(signal: plan.stopSignal, patience: Self.patience)
                if status == .signalled(SIGKILL) { wasKilled.set() }
                return nil
            }
            let status = await child.ended()
            let wasStopped = shutdown.isRequested
            group.cancelAll()
            return wasStopped ? nil : status
        }
    }

    private func shouldRestart(after status: ChildProcess.Status, deaths: Int) async throws -> Bool {
        let log = plan.specification.outputFile ?? ""
        let reason = LogTail.readable(LogTail.lastLine(of: log))
        let isPermanent = Self.permanent.contains { status == .exited($0.rawValue) }
        if !isUp.isSet, isPermanent || deaths >= Self.attemptLimit {
            throw ProcessFailure("\(plan.label) does not start (\(status)): \(reason). Its log is \(log)")
        }
        if isPermanent {
            console.say("\(plan.label) stopped for good (\(status)): \(reason). Its log is \(log)")
        }
        return !isPermanent
    }

    private static func text(_ duration: Duration) -> String {
        "\(Int(duration / .milliseconds(1))) ms"
    }
}
