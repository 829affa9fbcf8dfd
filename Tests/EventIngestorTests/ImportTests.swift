import Foundation
import Identifiers
import Messages
import ServiceRuntime
import Streams
import Synchronization
import TestSupport
import Testing

@testable import EventIngestor

@Suite(.timeLimit(.minutes(2)))
final class ImportTests {
    private let user = "import-\(UUID().uuidString)-"
    private let folder = FileManager.default.temporaryDirectory.appending(path: "import-\(UUID().uuidString)").path

    init() throws { try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true) }

    deinit { try? FileManager.default.removeItem(atPath: folder) }

    /// Three users with 1, 2 and 3 events, times descending in the file.
    private func writeEvents() throws -> String {
        let lines = [(0, 5), (1, 9), (2, 8), (2, 7), (1, 4), (2, 1)].map { index, time in
            #"{"user":"\#(user)\#(index)","item":"i\#(time)","time":\#(time)}"#
        }
        let path = "\(folder)/events.ndjson"
        try lines.joined(separator: "\n").write(toFile: path, atomically: true, encoding: .utf8)
        return path
    }

    private func flow(_ path: String, _ log: any MessageLog, _ flags: [String: String] = [:]) throws -> ImportFlow {
        let reader = try ConfigurationReader(keys: ImportConfiguration.keys, flags: flags)
        let configuration = try ImportConfiguration(path: path, reader: reader)
        return ImportFlow(
            configuration: configuration,
            source: try ImportSource(configuration),
            log: log,
            partitionCount: 4,
            logger: silentLogger
        )
    }

    private func items(_ log: any MessageLog) async throws -> [String] {
        try await TestLog.records(log, ofUsers: user)
            .map { try Event(decoding: $0.value ?? [], contentType: nil) }
            .sorted { $0.user < $1.user }
            .map { "\($0.user.text.suffix(1)):\($0.item)" }
    }

    @Test func sendsEveryEventOnceAndTheSecondTimeNone() async throws {
        let log = try await TestLog.open()
        let path = try writeEvents()
        for _ in 0..<2 { try await flow(path, log, ["batch-events": "4"]).run(until: Shutdown()) }
        #expect(try await items(log) == ["0:i5", "1:i9", "1:i4", "2:i8", "2:i7", "2:i1"])
        await log.close()
    }

    @Test func interleavesUsersByTime() async throws {
        let log = try await TestLog.open()
        let path = try writeEvents()
        let sent = Mutex<[String]>([])
        let recording = GuardedLog(log) { (records, log) throws(StreamError) in
            let keys = records.map { String(decoding: $0.key ?? [], as: UTF8.self).suffix(1) }
            sent.withLock { $0 += keys.map(String.init) }
            try await log.append(records)
        }
        try await flow(path, recording, ["order": "interleaved", "batch-events": "2"]).run(until: Shutdown())
        #expect(sent.withLock { $0 } == ["0", "1", "2", "1", "2", "2"])
        #expect(try await items(log) == ["0:i5", "1:i4", "1:i9", "2:i1", "2:i7", "2:i8"])
        await log.close()
    }

    /// The append of the second batch takes part of it and the process ends; the next one sends the rest, no event twice.
    @Test(arguments: ["file", "interleaved"], [0, 1, 3])
    func goesOnExactlyWhereAProcessDied(order: String, taken: Int) async throws {
        let log = try await TestLog.open()
        let path = try writeEvents()
        let flags = ["order": order, "batch-events": "3"]
        let count = Mutex(0)
        let dying = GuardedLog(log) { (records, log) throws(StreamError) in
            let isSecond = count.withLock { count in
                count += 1
                return count == 2
            }
            try await log.append(isSecond ? Array(records.prefix(taken)) : records)
            if isSecond { throw .fatal("killed") }
        }
        await #expect(throws: StreamError.self) { try await flow(path, dying, flags).run(until: Shutdown()) }
        try await flow(path, log, flags).run(until: Shutdown())
        #expect(try await items(log).count == 6)
        #expect(Set(try await items(log)).count == 6)
        await log.close()
    }

    /// Also where a line is several events, and the process died in the midst of one.
    @Test(arguments: ["sequences", "reviews"])
    func importsPublishedForms(form: String) async throws {
        let log = try await TestLog.open()
        let isSequences = form == "sequences"
        let path = folder + (isSequences ? "/data.txt" : "/Data.jsonl")
        let sequences = "\(user)0 a b c\n\(user)1 a c\n"
        let reviews = [("0", "a"), ("0", "b"), ("1", "a"), ("0", "c"), ("1", "c")].map { number, item in
            #"{"user_id":"\#(user)\#(number)","parent_asin":"\#(item)","rating":4,"timestamp":9,"text":"so"}"# + "\n"
        }
        try (isSequences ? sequences : reviews.joined()).write(toFile: path, atomically: true, encoding: .utf8)
        let count = Mutex(0)
        let dying = GuardedLog(log) { (records, log) throws(StreamError) in
            let isSecond = count.withLock { count in
                count += 1
                return count == 2
            }
            try await log.append(records)
            if isSecond { throw .fatal("killed") }
        }
        let flags = ["batch-events": "2"]
        await #expect(throws: StreamError.self) { try await flow(path, dying, flags).run(until: Shutdown()) }
        try await flow(path, log, flags).run(until: Shutdown())
        #expect(try await items(log) == ["0:a", "0:b", "0:c", "1:a", "1:c"])
        await log.close()
    }

    /// An append whose outcome is not known is read back before it is tried again.
    @Test func triesAgainWithoutSendingTwice() async throws {
        let log = try await TestLog.open()
        let path = try writeEvents()
        let count = Mutex(0)
        let flaky = GuardedLog(log) { (records, log) throws(StreamError) in
            let number = count.withLock { count in
                count += 1
                return count
            }
            try await log.append(number == 1 ? Array(records.dropFirst(2)) : records)
            if number <= 2 { throw .unavailable("the answer was lost") }
        }
        try await flow(path, flaky).run(until: Shutdown())
        #expect(count.withLock { $0 } >= 2)
        #expect(try await items(log).count == 6)
        await log.close()
    }

    @Test func refusesTheStateOfAnotherFileOrLog() async throws {
        let log = try await TestLog.open()
        let path = try writeEvents()
        let state = "\(folder)/state"
        try ImportState(fingerprint: "other").write(to: state)
        let error = await #expect(throws: ProcessFailure.self) {
            try await flow(path, log, ["state": state]).run(until: Shutdown())
        }
        #expect(error?.description.contains(state) == true)
        var ahead = ImportState(fingerprint: try flow(path, log).source.fingerprint)
        ahead.doneCount = 1_000_000_000
        try ahead.write(to: state)
        let other = await #expect(throws: ProcessFailure.self) {
            try await flow(path, log, ["state": state]).run(until: Shutdown())
        }
        #expect(other?.description.contains("another log") == true)
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
            try await flow(path, stopping, flags).run(until: shutdown)
        }
        #expect(error?.exitCode == .interrupted)
        try await flow(path, log, flags).run(until: Shutdown())
        #expect(try await items(log).count == 6)
        await log.close()
    }
}
