import Foundation
import Messages
import ServiceRuntime
import MessageLogs
import Synchronization
import TestSupport
import Testing

@testable import EventIngestor

@Suite(.timeLimit(.minutes(15)))
struct ImportTests {
    private let stage: ImportStage

    init() throws { stage = try ImportStage() }

    /// Three users with 1, 2 and 3 events, times descending in the file.
    private func writeEvents() throws -> String {
        let lines = [(0, 5), (1, 9), (2, 8), (2, 7), (1, 4), (2, 1)].map { stage.line($0, "i\($1)", $1) }
        return try stage.write(lines.joined(separator: "\n"))
    }

    @Test func sendsEveryEventOnceAndTheSecondTimeNone() async throws {
        let log = try await TestLog.open()
        let path = try writeEvents()
        for _ in 0..<2 { try await stage.flow(path, log, ["batch-events": "4"]).run(until: Shutdown()) }
        #expect(try await stage.items(log) == ["0:i5", "1:i4", "1:i9", "2:i1", "2:i7", "2:i8"])
        await log.close()
    }

    /// Each of the orders, batch after batch.
    @Test(arguments: [
        "time": ["2:i1", "1:i4", "0:i5", "2:i7", "2:i8", "1:i9"],
        "file": ["0:i5", "1:i9", "2:i8", "2:i7", "1:i4", "2:i1"],
        "interleaved": ["0:i5", "1:i4", "2:i1", "1:i9", "2:i7", "2:i8"],
    ])
    func sendsInTheOrderThatWasAskedFor(order: String, expected: [String]) async throws {
        let log = try await TestLog.open()
        let sent = ImportStage.Sent()
        let flags = ["order": order, "batch-events": "2"]
        try await stage.flow(writeEvents(), stage.recording(log, sent), flags).run(until: Shutdown())
        #expect(sent.all == expected)
        await log.close()
    }

    /// The append of the second batch takes part of it and the process ends; the next one sends the rest, no event twice.
    @Test(arguments: ["time", "file", "interleaved"], [0, 1, 3])
    func goesOnExactlyWhereAProcessDied(order: String, taken: Int) async throws {
        let log = try await TestLog.open()
        let path = try writeEvents()
        let flags = ["order": order, "batch-events": "3"]
        let whole = ImportStage.Sent()
        let other = try await TestLog.open()
        let elsewhere = flags.merging(["state": "\(stage.folder)/elsewhere"]) { $1 }
        try await stage.flow(path, stage.recording(other, whole), elsewhere).run(until: Shutdown())
        await #expect(throws: StreamError.self) {
            try await stage.flow(path, stage.dying(log, at: 2, taking: taken), flags).run(until: Shutdown())
        }
        try await stage.flow(path, log, flags).run(until: Shutdown())
        #expect(try await stage.items(log) == (try await stage.items(other)))
        for one in [log, other] { await one.close() }
    }

    /// Also where a line is several events, and the process died in the midst of one.
    @Test(arguments: ["sequences", "reviews"])
    func importsPublishedForms(form: String) async throws {
        let log = try await TestLog.open()
        let user = stage.user
        let reviews = [("0", "a"), ("0", "b"), ("1", "a"), ("0", "c"), ("1", "c")].map { number, item in
            #"{"user_id":"\#(user)\#(number)","parent_asin":"\#(item)","rating":4,"timestamp":1700000000000,"text":"so"}"#
                + "\n"
        }
        let path =
            form == "sequences"
            ? try stage.write("\(user)0 a b c\n\(user)1 a c\n", to: "data.txt")
            : try stage.write(reviews.joined(), to: "Data.jsonl")
        let flags = ["batch-events": "2"]
        await #expect(throws: StreamError.self) {
            try await stage.flow(path, stage.dying(log, at: 2), flags).run(until: Shutdown())
        }
        try await stage.flow(path, log, flags).run(until: Shutdown())
        #expect(try await stage.items(log) == ["0:a", "0:b", "0:c", "1:a", "1:c"])
        await log.close()
    }

    /// An append whose outcome is not known is read back before it is tried again; what cannot be put right is told.
    @Test func triesAgainWithoutSendingTwice() async throws {
        let log = try await TestLog.open()
        let path = try writeEvents()
        let count = Mutex(0)
        let flaky = GuardedLog(log) { (records, log) throws(StreamError) in
            let number = count.withLock { count in
                count += 1
                return count
            }
            // Without the earliest event of users 2 and 1, who both have later ones.
            try await log.append(number == 1 ? Array(records.dropFirst(2)) : records)
            if number <= 2 { throw .unavailable("the answer was lost") }
        }
        let said = ImportStage.Said()
        try await stage.flow(path, flaky, logger: Logger(label: "test", handler: said)).run(until: Shutdown())
        #expect(count.withLock { $0 } >= 2)
        #expect(try await stage.items(log) == ["0:i5", "1:i9", "1:i4", "2:i7", "2:i8", "2:i1"])
        #expect(said.last("import.overtaken") == "2")
        await log.close()
    }

    @Test func refusesTheStateOfAnotherLog() async throws {
        let log = try await TestLog.open()
        let path = try writeEvents()
        let state = "\(stage.folder)/state"
        try await stage.flow(path, log, ["state": state]).run(until: Shutdown())
        let empty = try await TestLog.open()
        let reason = await stage.refusal(path, empty, ["state": state])
        #expect(reason.contains("another log") && reason.contains(state))
        for one in [log, empty] { await one.close() }
    }

    /// The test holds the file in the place of another import.
    @Test func ofTwoImportsOfAFileOneIsRefused() async throws {
        let log = try await TestLog.open()
        let path = try writeEvents()
        do {
            let lock = try #require(try FileLock(file: path))
            defer { withExtendedLifetime(lock) {} }
            let error = await #expect(throws: ProcessFailure.self) {
                try await stage.flow(path, log).run(until: Shutdown())
            }
            #expect(error?.exitCode == .unavailable)
            #expect(error?.description.contains("another import of \(path) is running") == true)
        }
        try await stage.flow(path, log).run(until: Shutdown())
        #expect(try await stage.items(log).count == 6)
        #expect(try FileLock(file: path) != nil)
        await log.close()
    }

    @Test func aStopLeavesAStateToGoOnFrom() async throws {
        let log = try await TestLog.open()
        let path = try writeEvents()
        let shutdown = Shutdown()
        let stopping = GuardedLog(log) { (records, log) throws(StreamError) in
            try await log.append(records)
            shutdown.request()
        }
        let flags = ["batch-events": "2"]
        let error = await #expect(throws: ProcessFailure.self) {
            try await stage.flow(path, stopping, flags).run(until: shutdown)
        }
        #expect(error?.exitCode == .interrupted)
        // What was appended is known to be there: nothing is under way that would have to be looked for.
        #expect(try stage.state(of: path).pendingCount == 0)
        #expect(try stage.state(of: path).doneCount == 2)
        try await stage.flow(path, log, flags).run(until: Shutdown())
        #expect(try await stage.items(log).count == 6)
        await log.close()
    }

    /// Nobody waits for the end of a file when the process is to end, not even where no line of it makes an event.
    @Test(arguments: ["time", "file", "interleaved"])
    func stopsWhileItReads(order: String) async throws {
        let log = try await TestLog.open()
        let path = try stage.write(String(repeating: "no event\n", count: 200_000))
        let shutdown = Shutdown()
        shutdown.request()
        let flags = ["order": order, "skip-bad-lines": "true"]
        let error = await #expect(throws: ProcessFailure.self) {
            try await stage.flow(path, log, flags).run(until: shutdown)
        }
        #expect(error?.exitCode == .interrupted)
        #expect(error?.description.contains("after 0 events") == true)
        await log.close()
    }
}
