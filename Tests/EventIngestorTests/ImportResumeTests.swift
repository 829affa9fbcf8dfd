import Foundation
import Messages
import ServiceRuntime
import MessageLogs
import TestSupport
import Testing

@testable import EventIngestor

/// What an import does with a file that was changed since it last ran.
@Suite(.timeLimit(.minutes(15)))
struct ImportResumeTests {
    private let stage: ImportStage

    init() throws { stage = try ImportStage() }

    private func lines(_ numbers: Range<Int>) -> [String] {
        numbers.map { stage.line($0 % 3, "i\($0)", 1_000 + $0) }
    }

    private func text(_ lines: [String], isLastEnded: Bool = true) -> String {
        lines.joined(separator: "\n") + (isLastEnded ? "\n" : "")
    }

    /// What the log must have of lines that were written by `lines`.
    private func expected(_ numbers: Range<Int>) -> [String] {
        (0..<3).flatMap { user in numbers.filter { $0 % 3 == user }.map { "\(user):i\($0)" } }
    }

    // MARK: - A bad line

    /// By time nothing is sent before all of the file was read; in the file's order it goes on where it stopped.
    @Test(arguments: ["time", "file", "interleaved"], [true, false])
    func goesOnAfterABadLineWasMendedOrIsSkipped(order: String, isMended: Bool) async throws {
        let log = try await TestLog.open()
        let good = lines(0..<120)
        var broken = good
        broken[109] = #"{"user":"#
        let path = try stage.write(text(broken))
        var flags = ["order": order, "batch-events": "50"]
        let reason = await stage.refusal(path, log, flags)
        #expect(reason.contains("\(path):110"))
        #expect(try await stage.items(log).count == (order == "file" ? 100 : 0))
        if isMended {
            try stage.write(text(good))
        } else {
            flags["skip-bad-lines"] = "true"
        }
        let said = ImportStage.Said()
        try await stage.flow(path, log, flags, logger: Logger(label: "test", handler: said)).run(until: Shutdown())
        let all = expected(0..<120)
        #expect(try await stage.items(log) == (isMended ? all : all.filter { $0 != "1:i109" }))
        #expect(said.last("import.skipped") == (isMended ? "0" : "1"))
        await log.close()
    }

    // MARK: - More events

    /// Also where the last line had no end before, and by the line ends of Windows.
    @Test(arguments: ["time", "file", "interleaved"], ["\n", "\r\n", "no end", "no end, \r\n"])
    func sendsWhatWasAdded(order: String, end: String) async throws {
        let log = try await TestLog.open()
        let separator = end.hasSuffix("\r\n") ? "\r\n" : "\n"
        let isEnded = !end.hasPrefix("no end")
        let first = lines(0..<10).joined(separator: separator)
        let path = try stage.write(first + (isEnded ? separator : ""))
        let flags = ["order": order, "batch-events": "4"]
        try await stage.flow(path, log, flags).run(until: Shutdown())
        let next = first + separator + lines(10..<17).joined(separator: separator) + separator
        try stage.write(next + #"{"user":1}"# + separator)
        // Lines are counted right behind a line that had no end.
        #expect(await stage.refusal(path, log, flags).contains("\(path):18"))
        try stage.write(next)
        try await stage.flow(path, log, flags).run(until: Shutdown())
        try await stage.flow(path, log, flags).run(until: Shutdown())
        #expect(try await stage.items(log) == expected(0..<17))
        await log.close()
    }

    /// Added while an import was interrupted: what was read before comes first.
    @Test(arguments: ["time", "file", "interleaved"])
    func sendsWhatWasAddedWhileItWasInterrupted(order: String) async throws {
        let log = try await TestLog.open()
        let flags = ["order": order, "batch-events": "4"]
        let path = try stage.write(text(lines(0..<10)))
        await #expect(throws: StreamError.self) {
            try await stage.flow(path, stage.dying(log, at: 2, taking: 1), flags).run(until: Shutdown())
        }
        try stage.write(text(lines(0..<13)))
        try await stage.flow(path, log, flags).run(until: Shutdown())
        #expect(try await stage.items(log) == expected(0..<13))
        await log.close()
    }

    /// A stream cannot be put in order again, so it is said how many events come too late.
    @Test func countsNewEventsThatAreOlderThanTheirUsersLast() async throws {
        let log = try await TestLog.open()
        let path = try stage.write(text([stage.line(0, "a", 10), stage.line(1, "b", 20), stage.line(2, "c", 30)]))
        try await stage.flow(path, log).run(until: Shutdown())
        // Of user 0 two are older than before, of user 1 one is; user 3 is new and user 2 goes on.
        let added = [(0, 9), (0, 8), (0, 11), (1, 19), (1, 20), (3, 1), (2, 31)].map { stage.line($0, "t\($1)", $1) }
        let before = text([stage.line(0, "a", 10), stage.line(1, "b", 20), stage.line(2, "c", 30)])
        try stage.write(before + text(added))
        let said = ImportStage.Said()
        let logger = Logger(label: "test", handler: said)
        try await stage.flow(path, log, sortMemory: 4_096, logger: logger).run(until: Shutdown())
        #expect(said.last("import.late") == "3")
        let items = try await stage.items(log)
        #expect(items == ["0:a", "0:t8", "0:t9", "0:t11", "1:b", "1:t19", "1:t20", "2:c", "2:t31", "3:t1"])
        await log.close()
    }

    @Test(arguments: ["time", "file"])
    func aCompressedFileThatGrewIsGoneOnWith(order: String) async throws {
        let log = try await TestLog.open()
        let path = try stage.write(text(lines(0..<10)))
        try gzip(path, to: "\(path).gz")
        let flags = ["order": order, "batch-events": "4"]
        try await stage.flow("\(path).gz", log, flags).run(until: Shutdown())
        try stage.write(text(lines(10..<15)))
        try gzip(path, to: "\(path).gz")
        try await stage.flow("\(path).gz", log, flags).run(until: Shutdown())
        #expect(try await stage.items(log) == expected(0..<15))
        await log.close()
    }

    /// Appends a file, compressed, to another.
    private func gzip(_ path: String, to target: String) throws {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/bin/sh")
        process.arguments = ["-c", #"gzip -c "$0" >> "$1""#, path, target]
        try process.run()
        process.waitUntilExit()
        #expect(process.terminationStatus == 0)
    }

    // MARK: - Edits

    /// What was sent cannot be taken back, so nothing of a file that is another one is sent; the place is told.
    @Test(arguments: ["time", "file", "interleaved"])
    func anEditInsideWhatWasSentIsAnErrorThatSaysWhere(order: String) async throws {
        let log = try await TestLog.open()
        let flags = ["order": order, "batch-events": "40"]
        let good = lines(0..<2_000)
        let path = try stage.write(text(good))
        try await stage.flow(path, log, flags).run(until: Shutdown())
        var edited = good
        edited[1_499] = stage.line(1_499 % 3, "j1499", 2_499)
        try stage.write(text(edited))
        let reason = await stage.refusal(path, log, flags)
        #expect(reason.contains("was changed after 2000"))
        let place = try #require(reason.firstMatch(of: /lines (\d+) to (\d+)/))
        let (first, last) = (try #require(Int(place.1)), try #require(Int(place.2)))
        #expect(first <= 1_500 && last >= 1_500)
        if order == "file" { #expect(last - first < 400) }

        try stage.write(text(Array(good.prefix(1_990))))
        #expect(await stage.refusal(path, log, flags).contains("ends after"))
        var longer = good
        longer[1_999] += "  "
        try stage.write(text(longer) + text(lines(2_000..<2_001)))
        #expect(await stage.refusal(path, log, flags).contains("was changed"))
        try stage.write(text(good))
        try await stage.flow(path, log, flags).run(until: Shutdown())
        #expect(try await stage.items(log).count == 2_000)
        await log.close()
    }

    /// `...,100` without a line's end, of which `...,1000` is made later.
    @Test(arguments: ["time", "file"])
    func aLastLineThatGoesOnIsAnError(order: String) async throws {
        let log = try await TestLog.open()
        let head = "userId,movieId,rating,timestamp\n"
        let path = try stage.write(head + "\(stage.user)0,7,4.0,170000000", to: "ratings.csv")
        try await stage.flow(path, log, ["order": order]).run(until: Shutdown())
        try stage.write(head + "\(stage.user)0,7,4.0,1700000000\n", to: "ratings.csv")
        let reason = await stage.refusal(path, log, ["order": order])
        #expect(reason.contains("line 2") && reason.contains("no end"))
        #expect(try await stage.items(log) == ["0:7"])
        await log.close()
    }

    /// A line of many items of which some were sent: the whole line counts as sent.
    @Test func anEditOfALineThatWasSentInPartIsAnError() async throws {
        let log = try await TestLog.open()
        let path = try stage.write("\(stage.user)0 a b c d e\n\(stage.user)1 a\n", to: "data.txt")
        await #expect(throws: StreamError.self) {
            let dying = stage.dying(log, at: 1)
            try await stage.flow(path, dying, ["batch-events": "3"]).run(until: Shutdown())
        }
        try stage.write("\(stage.user)0 x b c d e\n\(stage.user)1 a\n", to: "data.txt")
        #expect(await stage.refusal(path, log).contains("was changed"))
        await log.close()
    }

    @Test func anEditOfWhatWasUnderWayIsAnError() async throws {
        let log = try await TestLog.open()
        let flags = ["order": "file", "batch-events": "4"]
        let path = try stage.write(text(lines(0..<10)))
        await #expect(throws: StreamError.self) {
            try await stage.flow(path, stage.dying(log, at: 1, taking: 1), flags).run(until: Shutdown())
        }
        var edited = lines(0..<10)
        edited[2] = stage.line(2, "other", 1_002)
        try stage.write(text(edited))
        #expect(await stage.refusal(path, log, flags).contains("was changed"))
        await log.close()
    }

    @Test func anotherFormatThanBeforeIsRefused() async throws {
        let log = try await TestLog.open()
        let path = try stage.write("\(stage.user)0 a b\n", to: "data.txt")
        try await stage.flow(path, log).run(until: Shutdown())
        let reason = await stage.refusal(path, log, ["format": "ndjson", "order": "file"])
        #expect(reason.contains("--format sequences"))
        await log.close()
    }
}
