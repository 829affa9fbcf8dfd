import Foundation
import ServiceRuntime
import Flows

/// Changes the number of processes of a running system when `userllm scale` asks for it.
struct Scaling: Service {
    /// The components it works with.
    struct Parts: Sendable {
        let files: ScaleFiles
        let plan: SystemPlan
        /// The members that were started with the system.
        let running: [(member: SystemPlan.Member, process: ProcessStage.Member)]
        /// The stage of a kind's processes.
        let stage: @Sendable (ServiceKind) -> ProcessStage
        /// Makes the supervisor of a member; the flag is set once the member was ready.
        let supervise: @Sendable (SystemPlan.Member, Flag) -> SupervisedProcess
        let readiness: Readiness
        let partitions: [ServiceKind: Int]
        let keeper: StateKeeper
        let console: Console
        /// Whether the whole system was ready once.
        let isUp: Flag
    }

    let name = "scaling"
    private let parts: Parts

    /// Creates the service from its components.
    init(_ parts: Parts) {
        self.parts = parts
    }

    /// Polls for requests until the service is to stop.
    func run(until shutdown: Shutdown) async throws {
        var work = ScalingWork(parts)
        var last: String?
        while !shutdown.isRequested {
            try await shutdown.wait(atMost: .milliseconds(200))
            guard parts.isUp.isSet, let request = parts.files.request, request.id != last else { continue }
            last = request.id
            try await work.carryOut(request, until: shutdown)
        }
    }
}

/// The current processes; handles one request after the other.
private struct ScalingWork {
    private typealias Running = (member: SystemPlan.Member, process: ProcessStage.Member)

    private let parts: Scaling.Parts
    private var running: [Running]
    private var answer = ScaleAnswer(id: "")

    init(_ parts: Scaling.Parts) {
        self.parts = parts
        running = parts.running
    }

    /// Carries out a request, kind by kind, and leaves an answer whatever happens.
    mutating func carryOut(_ request: ScaleRequest, until shutdown: Shutdown) async throws {
        answer = ScaleAnswer(id: request.id)
        try parts.files.write(answer)
        for name in request.counts.keys.sorted() where ServiceKind(rawValue: name) == nil {
            answer.problems.append("there is no service \(name)")
        }
        for kind in ServiceKind.allCases where !shutdown.isRequested {
            guard let count = request.counts[kind.rawValue] else { continue }
            try await change(kind, to: count, request, until: shutdown)
        }
        if shutdown.isRequested { answer.problems.append("the system is being stopped, so the change was given up") }
        answer.isDone = true
        try parts.files.write(answer)
    }

    private mutating func change(
        _ kind: ServiceKind,
        to count: Int,
        _ request: ScaleRequest,
        until shutdown: Shutdown
    ) async throws {
        let before = running(kind).count
        guard SystemConfiguration.countRange.contains(count) else {
            return answer.problems.append("\(kind.rawValue): \(count) is not in \(SystemConfiguration.countRange)")
        }
        guard count != before else { return try tell("\(kind.rawValue): \(count) as before") }
        if let partitions = parts.partitions[kind], count > max(partitions, before) {
            try tell(
                "\(kind.rawValue): \(count) processes share \(partitions) partitions, so \(count - partitions) will stay idle"
            )
        }
        let start = ContinuousClock.now
        if count > before {
            try await grow(kind, by: count - before, request, until: shutdown)
        } else {
            try await shrink(kind, by: before - count, until: shutdown)
        }
        let seconds = ((ContinuousClock.now - start) / .seconds(1)).formatted(.number.precision(.fractionLength(1)))
        let now = running(kind).count
        guard now != before else { return }
        try tell("\(kind.rawValue): \(before) -> \(now) in \(seconds) s")
    }

    private func running(_ kind: ServiceKind) -> [Running] {
        running.filter { $0.member.kind == kind }.sorted { $0.member.instance < $1.member.instance }
    }

    private mutating func tell(_ line: String) throws {
        parts.console.say(line)
        answer.lines.append(line)
        try parts.files.write(answer)
    }

    // MARK: - Scaling up

    private mutating func grow(
        _ kind: ServiceKind,
        by count: Int,
        _ request: ScaleRequest,
        until shutdown: Shutdown
    ) async throws {
        var new: [(running: Running, wasReady: Flag)] = []
        for _ in 0..<count {
            let member: SystemPlan.Member
            do {
                member = try parts.plan.another(kind, beside: running.map(\.member))
            } catch {
                answer.problems.append("\(error)")
                break
            }
            try await parts.keeper.add(member.state)
            let wasReady = Flag()
            let process = parts.supervise(member, wasReady)
            guard let process = parts.stage(kind).add(process, isEssential: false) else { return }
            running.append((member, process))
            new.append(((member, process), wasReady))
        }
        try await waitUntilReady(kind, new, within: request.patience, until: shutdown)
        try await tellAddresses()
    }

    /// Waits for new processes; those that do not become ready are removed again.
    private mutating func waitUntilReady(
        _ kind: ServiceKind,
        _ new: [(running: Running, wasReady: Flag)],
        within limit: Duration,
        until shutdown: Shutdown
    ) async throws {
        let end = ContinuousClock.now + limit
        var open = new
        while !open.isEmpty, !shutdown.isRequested {
            for (running, _) in open {
                guard let failure = running.process.failure else { continue }
                answer.problems.append("\(failure); it was given up, \(rest(kind, but: 1)) stay")
                try await forget(running)
            }
            open.removeAll { $0.running.process.hasEnded }
            let waiting = await parts.readiness.waiting(among: running(kind).map(\.member))
            let names = Set(waiting.map(\.member.instance))
            for (running, wasReady) in open where !names.contains(running.member.instance) { wasReady.set() }
            open.removeAll { $0.wasReady.isSet }
            if ContinuousClock.now > end {
                for (running, _) in open {
                    let reason = waiting.first { $0.member.instance == running.member.instance }?.reason ?? ""
                    let log = parts.plan.logFile(of: running.member)
                    answer.problems.append(
                        "\(running.member.label) is not ready after \(limit.configurationText) (\(reason)): "
                            + "\(LogTail.readable(LogTail.lastLine(of: log))). Its log is \(log); it was stopped, "
                            + "\(rest(kind, but: 1)) stay; --ready-within gives it longer"
                    )
                    try await stop([running], until: shutdown)
                }
                return
            }
            if !open.isEmpty { try await shutdown.wait(atMost: .milliseconds(100)) }
        }
    }

    private func rest(_ kind: ServiceKind, but count: Int) -> String {
        "the other \(running(kind).count - count)"
    }

    // MARK: - Scaling down

    private mutating func shrink(_ kind: ServiceKind, by count: Int, until shutdown: Shutdown) async throws {
        let surplus = Array(running(kind).suffix(count))
        // Clients are no longer sent to processes that are about to stop.
        running.removeAll { some in surplus.contains { $0.process === some.process } }
        try await tellAddresses()
        running += surplus
        try await stop(surplus, until: shutdown)
    }

    /// Stops processes, all at once, so that their partitions are reassigned in one rebalance.
    private mutating func stop(_ some: [Running], until shutdown: Shutdown) async throws {
        for (_, process) in some { process.requestStop() }
        for running in some {
            await withTaskGroup(of: Void.self) { group in
                group.addTask { await running.process.waitUntilEnded() }
                group.addTask { await shutdown.requested() }
                await group.next()
                group.cancelAll()
            }
            // At the end of the system its stage waits for it.
            guard running.process.hasEnded else { return }
            try await forget(running)
            if running.process.wasKilled {
                try tell(
                    "\(running.member.label) did not end within \(SupervisedProcess.patience.configurationText) and was "
                        + "killed; its log is \(parts.plan.logFile(of: running.member))"
                )
            }
        }
    }

    private mutating func forget(_ some: Running) async throws {
        running.removeAll { $0.process === some.process }
        try await parts.keeper.remove(some.member.kind.rawValue, instance: some.member.instance)
    }

    private func tellAddresses() async throws {
        let members = running.map(\.member).sorted { $0.instance < $1.instance }
        try await parts.keeper.serve(
            gateways: parts.plan.addresses(of: .gateway, among: members),
            ingestors: parts.plan.addresses(of: .eventIngestor, among: members)
        )
    }
}
