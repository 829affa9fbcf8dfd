import Datasets
import Bytes
import Foundation
import Glibc
import ServiceRuntime
import MessageLogs
import TestSupport
import Testing

@testable import EventIngestor

/// The file of a state may be old, damaged or edited.
@Suite(.timeLimit(.minutes(15)))
struct ImportStateTests {
    private let stage: ImportStage

    init() throws { stage = try ImportStage() }

    /// A state in the midst of an import, with every field in use.
    private var state: ImportState {
        var state = ImportState(order: "time", format: "ndjson")
        state.doneCount = 7_000
        state.pendingCount = 500
        state.position = ReadPosition(line: 7_000, byteOffset: 400_000)
        state.pendingPosition = ReadPosition(line: 7_500, byteOffset: 420_000, eventsOfLine: 2, events: 7_500)
        state.part = ImportState.Part(
            firstEvent: 5_000,
            eventCount: 4_000,
            start: ReadPosition(line: 5_000, byteOffset: 300_000),
            end: ReadPosition(line: 9_000, byteOffset: 500_000),
            isSorted: false,
            lateCount: 3
        )
        state.latestTime = 1_700_000_000_000
        state.checkpoints = [
            Checkpoint(byteOffset: 100_000, sha256: String(repeating: "ab", count: 32)),
            Checkpoint(byteOffset: 500_000, sha256: String(repeating: "cd", count: 32)),
        ]
        state.place = LogPlace(partition: 3, offset: 12_345, number: 6_999)
        state.totals?.counts[.badLines] = 4
        state.totals?.counts[.timesInSeconds] = 8_000
        state.totals?.counts.add(unknownFields: ["price", "Name"])
        state.totals?.lateCount = 3
        state.totals?.overtakenCount = 1
        return state
    }

    private func refusal(_ text: String) -> String {
        do {
            _ = try ImportState.decoded(Array(text.utf8), "/a/state")
            return ""
        } catch {
            #expect(error.exitCode == .badInput)
            #expect(error.description.contains("/a/state"))
            return error.description
        }
    }

    @Test func isReadAsItWasWritten() throws {
        let path = "\(stage.folder)/state"
        #expect(try ImportState.read(path) == nil)
        let state = state
        try state.write(to: path)
        #expect(try ImportState.decoded(try state.sealed(path), path) == state)
        #expect(try ImportState.read(path) == state)
        #expect(try FileManager.default.contentsOfDirectory(atPath: stage.folder) == ["state"])
    }

    /// Version 2 had neither a place in the log nor totals, and is gone on from.
    @Test func aStateOfVersionTwoIsRead() throws {
        var state = state
        (state.place, state.totals) = (nil, nil)
        let text = String(decoding: try state.sealed("/a/state"), as: UTF8.self)
        let old = text.replacing("\"version\":3", with: "\"version\":2")
        #expect(old != text && !old.contains("totals"))
        #expect(try ImportState.decoded(Array(old.utf8), "/a/state") == state)
    }

    /// Every number of a state, made as large and as small as it goes: the file, the field, and no trap.
    @Test func numbersOutOfRangeAreRefused() throws {
        let text = String(decoding: try state.sealed("/a/state"), as: UTF8.self)
        let fields = text.matches(of: /"(\w+)":(\d+)/).map { (name: String($0.1), whole: String($0.0)) }
        #expect(fields.count >= 27)
        for field in fields {
            for value in ["18446744073709551615", "9223372036854775807", "-9223372036854775808", "-1", "1e300", "null"]
            {
                let reason = refusal(
                    text.replacing(field.whole, with: "\"\(field.name)\":\(value)", maxReplacements: 1)
                )
                #expect(!reason.isEmpty, "\(field.name) \(value)")
            }
        }
    }

    @Test(arguments: [
        ("doneCount", "doneCount"), ("byteOffset", "byteOffset"), ("line", "line"), ("pendingCount", "pendingCount"),
    ])
    func theFieldIsNamed(field: String, named: String) throws {
        let text = String(decoding: try state.sealed("/a/state"), as: UTF8.self)
        let whole = try #require(text.firstMatch(of: try Regex("\"\(field)\":\\d+")))
        for value in ["18446744073709551615", "1152921504606846977"] {
            #expect(refusal(text.replacing(whole.0, with: "\"\(field)\":\(value)")).contains(named))
        }
    }

    /// A number that is in range all the same: the state is not as it was written.
    @Test func anEditedNumberIsRefused() throws {
        let text = String(decoding: try state.sealed("/a/state"), as: UTF8.self)
        #expect(refusal(text.replacing("\"doneCount\":7000", with: "\"doneCount\":7001")).contains("sha256"))
    }

    /// Damage of any kind is refused, or leaves the state as it was: spaces, or a field that is not known.
    @Test func damagedStatesAreRefused() throws {
        let original = state
        let bytes = try original.sealed("/a/state")
        var fuzzer = Fuzzer(seed: 13)
        for _ in 0..<Fuzzer.count(full: 100_000, daily: 5_000) {
            let damaged = fuzzer.damaged(bytes)
            guard let read = try? ImportState.decoded(damaged, "/a/state") else { continue }
            #expect(read == original)
        }
    }

    /// Consistent with its own digest, as somebody makes it who wants harm: no trap, and no event is taken for sent.
    @Test func statesThatSomebodySealedAreHarmless() async throws {
        let log = try await TestLog.open()
        let lines = (0..<6).map { stage.line(0, "i\($0)", $0) }
        let path = try stage.write(lines.joined(separator: "\n") + "\n")
        let statePath = "\(stage.folder)/state"
        let flags = ["order": "file", "batch-events": "2", "state": statePath]
        await #expect(throws: StreamError.self) {
            try await stage.flow(path, stage.dying(log, at: 3), flags).run(until: Shutdown())
        }
        let good = try #require(try ImportState.read(statePath))
        let edits: [(inout ImportState) -> Void] = [
            { $0.position?.byteOffset = 1 << 60 },
            { $0.checkpoints[$0.checkpoints.count - 1].byteOffset = 1 << 60 },
            { $0.doneCount = 1 << 50 },
            { $0.checkpoints = [] },
            { $0.position = nil },
            { $0.pendingCount = 50_001 },
            { $0.pendingCount = 50_000 },
            { $0.position?.line = .max },
            { $0.position?.events = .max },
            { $0.position?.eventsOfLine = .min },
            { $0.checkpoints[0].sha256 = "" },
            { $0.pendingPosition?.byteOffset = .max },
            {
                $0.part = ImportState.Part(
                    firstEvent: 1 << 50,
                    eventCount: .max,
                    start: .start,
                    end: .start,
                    isSorted: true
                )
            },
        ]
        for edit in edits {
            var state = good
            edit(&state)
            try state.write(to: statePath)
            _ = await stage.refusal(path, log, flags)
        }
        #expect(try await stage.items(log).count == 6)
        await log.close()
    }

    @Test func anOffsetPastTheEndIsNamed() async throws {
        let log = try await TestLog.open()
        let path = try stage.write(stage.line(0, "a", 1) + "\n")
        let statePath = "\(stage.folder)/state"
        try await stage.flow(path, log, ["state": statePath]).run(until: Shutdown())
        var state = try #require(try ImportState.read(statePath))
        state.checkpoints[state.checkpoints.count - 1].byteOffset = 5_000
        try state.write(to: statePath)
        let reason = await stage.refusal(path, log, ["state": statePath])
        #expect(reason.contains("ends after") && reason.contains("5000 bytes"))
        await log.close()
    }

    @Test func stateOfAnEarlierVersionIsRefused() async throws {
        let log = try await TestLog.open()
        let old = """
            {"fingerprint":"0123456789abcdef","doneCount":10000,"pendingCount":0,"isComplete":false,
            "position":{"line":10000,"byteOffset":500000,"eventsOfLine":0,"events":0}}
            """
        let reason = refusal(old)
        #expect(reason.contains("earlier version") && reason.contains("10000 events"))
        #expect(refusal(#"{"version":4}"#).contains("version 4"))
        let others = ["", "[]", "{}", "{\"version\":2}", "{\"version\":3}", "null", "\u{0}"]
        for text in others + [String(repeating: "[", count: 100_000)] { #expect(!refusal(text).isEmpty) }
        // Beside the file, where that version kept it: sending all again by the new default would double everything.
        let path = try stage.write(stage.line(0, "a", 1) + "\n")
        let places = try stage.flow(path, log).configuration.earlierStatePaths(for: path)
        #expect(places.count == 2)
        try stage.write(old, to: (try #require(places.first) as NSString).lastPathComponent)
        #expect(await stage.refusal(path, log).contains("earlier version"))
        #expect(try await stage.items(log) == [])
        await log.close()
    }

    /// Nothing waits for somebody to write into a pipe.
    @Test func aStateThatIsNoFileIsRefused() async throws {
        let log = try await TestLog.open()
        let path = try stage.write(stage.line(0, "a", 1) + "\n")
        let pipe = "\(stage.folder)/pipe"
        #expect(mkfifo(pipe, 0o600) == 0)
        #expect(await stage.refusal(path, log, ["state": pipe]).contains("is a pipe"))
        #expect(await stage.refusal(path, log, ["state": stage.folder]).contains("is a folder"))
        #expect(await stage.refusal(path, log, ["state": "/dev/null"]).contains("is a device"))
        let data = "\(stage.folder)/data.ndjson"
        #expect(mkfifo(data, 0o600) == 0)
        #expect(await stage.refusal(data, log).contains("is a pipe"))
        await log.close()
    }
}
