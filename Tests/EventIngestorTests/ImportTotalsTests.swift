import Datasets
import Foundation
import ServiceRuntime
import MessageLogs
import TestSupport
import Testing

@testable import EventIngestor

/// What an import tells at its end is of all of its runs.
@Suite(.timeLimit(.minutes(15)))
struct ImportTotalsTests {
    private let stage: ImportStage

    init() throws { stage = try ImportStage() }

    /// Events with times in seconds and a field that nobody reads; every fourth line is bad.
    private func text(_ numbers: Range<Int>, isDescending: Bool = false) -> String {
        numbers.map { number in
            if number % 4 == 3 { return "no event\n" }
            let time = 1_700_000_000 + (isDescending ? -number : number)
            return #"{"user":"\#(stage.user)0","item":"i\#(number)","time":\#(time),"price":\#(number)}"# + "\n"
        }.joined()
    }

    private func run(
        _ path: String,
        _ log: any MessageLog,
        _ flags: [String: String]
    ) async throws -> ImportStage.Said {
        let said = ImportStage.Said()
        try await stage.flow(path, log, flags, logger: Logger(label: "test", handler: said)).run(until: Shutdown())
        return said
    }

    private func expect(
        _ said: ImportStage.Said,
        events: Int,
        skipped: Int,
        _ location: SourceLocation = #_sourceLocation
    ) {
        #expect(said.last("import.events") == "\(events)", sourceLocation: location)
        #expect(said.last("import.skipped") == "\(skipped)", sourceLocation: location)
        #expect(said.last("import.times_in_seconds") == "\(events)", sourceLocation: location)
        #expect(said.last("import.unknown_fields") == "price", sourceLocation: location)
    }

    /// Whether a part was sorted or in order of time; killed in each of its batches, and again; with lines that were added.
    @Test(arguments: ["time", "file", "interleaved"], [false, true])
    func whatWasLeftOutBeforeAnInterruptionIsTold(order: String, isDescending: Bool) async throws {
        for number in 1...3 {
            let log = try await TestLog.open()
            let path = try stage.write(text(0..<20, isDescending: isDescending), to: "\(number).ndjson")
            let flags = ["order": order, "batch-events": "4", "skip-bad-lines": "true"]
            for taken in [1, 3] {
                await #expect(throws: StreamError.self) {
                    let dying = stage.dying(log, at: number, taking: taken)
                    try await stage.flow(path, dying, flags).run(until: Shutdown())
                }
                if number == 3 { break }
            }
            let said = try await run(path, log, flags)
            expect(said, events: 15, skipped: 5)
            try stage.write(text(0..<27, isDescending: isDescending), to: "\(number).ndjson")
            expect(try await run(path, log, flags), events: 21, skipped: 6)
            #expect(try await stage.items(log).count == 21)
            await log.close()
        }
    }

    /// Their times are made up, each of them once.
    @Test func eventsWithoutATimeAreCountedOnce() async throws {
        let log = try await TestLog.open()
        let path = try stage.write("\(stage.user)1 c a b d\n\(stage.user)0 b\n\(stage.user)1 e f\n", to: "data.txt")
        await #expect(throws: StreamError.self) {
            try await stage.flow(path, stage.dying(log, at: 2), ["batch-events": "3"]).run(until: Shutdown())
        }
        #expect(try await run(path, log, ["batch-events": "3"]).last("import.events_without_time") == "7")
        await log.close()
    }

    /// Events that were late, or overtaken, in an earlier run.
    @Test func whatCameTooLateIsToldOfAllRuns() async throws {
        let log = try await TestLog.open()
        var lines = (10..<14).map { stage.line(0, "i\($0)", $0) + "\n" }
        let path = try stage.write(lines.joined())
        // The log takes the last of the batch and not the ones before, and the process ends.
        let broken = GuardedLog(log) { (records, log) throws(StreamError) in
            try await log.append(Array(records.suffix(1)))
            throw .fatal("killed")
        }
        await #expect(throws: StreamError.self) { try await stage.flow(path, broken).run(until: Shutdown()) }
        #expect(try await run(path, log, [:]).last("import.overtaken") == "3")
        for (time, late) in [(5, "1"), (20, "1"), (7, "2")] {
            lines.append(stage.line(0, "i\(time)", time) + "\n")
            try stage.write(lines.joined())
            let said = try await run(path, log, [:])
            #expect(said.last("import.late") == late && said.last("import.overtaken") == "3")
        }
        await log.close()
    }

    /// A state of version 2 has no totals: what is counted since is told.
    @Test func aStateWithoutTotalsBeginsThem() async throws {
        let log = try await TestLog.open()
        let path = try stage.write(text(0..<20), to: "old.ndjson")
        let state = "\(stage.folder)/state"
        let flags = ["skip-bad-lines": "true", "state": state]
        _ = try await run(path, log, flags)
        var old = try #require(try ImportState.read(state))
        (old.totals, old.place) = (nil, nil)
        try old.write(to: state)
        try stage.write(text(0..<24), to: "old.ndjson")
        let said = try await run(path, log, flags)
        #expect(said.last("import.events") == "18" && said.last("import.skipped") == "1")
        #expect(try ImportState.read(state)?.totals?.counts[.badLines] == 1)
        await log.close()
    }
}
