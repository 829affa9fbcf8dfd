import Synchronization
import Testing

@testable import ServiceRuntime

/// Keeps what was logged or done, in order.
final class Recorder: LogHandler {
    private let state = Mutex<[String]>([])
    var lines: [String] { state.withLock { $0 } }
    func note(_ line: String) { state.withLock { $0.append(line) } }
    func log(_ entry: LogEntry) { note("\(entry.level.rawValue): \(entry.message)") }
}

@Suite struct ServiceGroupTests {
    private struct Broken: Error, CustomStringConvertible { let description = "the database is gone" }

    private let recorder = Recorder()

    private func service(_ name: String) -> ServiceFunction {
        ServiceFunction(name) { [recorder] shutdown in
            recorder.note("\(name) began")
            await shutdown.requested()
            recorder.note("\(name) ended")
        }
    }

    private func group(_ services: [any Service], deadline: Duration = .seconds(20)) -> ServiceGroup {
        var options = ServiceGroup.Options()
        options.handlesSignals = false
        options.shutdownDeadline = deadline
        let recorder = recorder
        options.abandon = { recorder.note("abandoned with \($0.rawValue)") }
        return ServiceGroup(services, logger: Logger(label: "test", handler: recorder), options: options)
    }

    @Test func stopsInReverseOrder() async throws {
        let stop = Shutdown()
        let last = ServiceFunction("flow") { [recorder] shutdown in
            stop.request()
            await shutdown.requested()
            recorder.note("flow ended")
        }
        try await group([service("page"), service("client"), last]).run(stop: stop)
        #expect(recorder.lines.filter { $0.hasSuffix("ended") } == ["flow ended", "client ended", "page ended"])
    }

    @Test func anErrorStopsAllAndIsThrown() async throws {
        let failing = ServiceFunction("flow") { _ in throw Broken() }
        await #expect(throws: Broken.self) { try await group([service("page"), failing]).run() }
        #expect(recorder.lines.contains("page ended"))
    }

    @Test func endsWhenAServiceIsDone() async throws {
        try await group([service("page"), ServiceFunction("work") { _ in }]).run()
        #expect(recorder.lines.contains("page ended"))
    }

    @Test func abandonsAStopThatTakesTooLong() async throws {
        let release = Shutdown()
        let recorder = recorder
        var options = ServiceGroup.Options()
        options.handlesSignals = false
        options.shutdownDeadline = .milliseconds(10)
        options.abandon = { code in
            recorder.note("abandoned with \(code.rawValue)")
            release.request()
        }
        let stuck = ServiceFunction("stuck") { _ in await release.requested() }
        let stop = Shutdown()
        stop.request()
        try await ServiceGroup([stuck], logger: Logger(label: "test", handler: recorder), options: options).run(
            stop: stop
        )
        #expect(recorder.lines.contains("abandoned with 75"))
        #expect(recorder.lines.contains("critical: stopping took too long"))
    }

    @Test func aSignalToAProcessAndItsGroupIsOneSignal() {
        let first = ContinuousClock.now
        let signal = ServiceGroup.FirstSignal(at: first)
        #expect(signal.isRepeated(at: first))
        #expect(signal.isRepeated(at: first.advanced(by: .milliseconds(50))))
        #expect(!signal.isRepeated(at: first.advanced(by: .milliseconds(500))))
    }

    @Test func aShutdownCancelsAnOperationThatWaits() async throws {
        let shutdown = Shutdown()
        async let outcome: Int? = shutdown.cancelling {
            try await Task.sleep(for: .seconds(3_600))
            return 1
        }
        shutdown.request()
        #expect(try await outcome == nil)
        #expect(try await Shutdown().cancelling { 2 } == 2)
        await #expect(throws: Broken.self) { try await Shutdown().cancelling { throw Broken() } }
    }
}
