import Foundation
import Bytes
import Messages
import ServiceRuntime
import MessageLogs
import Synchronization
import TestSupport
import Testing

@testable import EventIngestor

/// By what an import knows the log that it has sent events to.
@Suite(.timeLimit(.minutes(15)))
struct ImportLogTests {
    private let stage: ImportStage

    init() throws { stage = try ImportStage() }

    private func text(_ numbers: Range<Int>) -> String {
        numbers.map { stage.line($0 % 3, "i\($0)", 1_000 + $0) + "\n" }.joined()
    }

    /// Events of others, so that a log has as many records as are wanted.
    private func fill(_ log: any MessageLog, _ count: Int) async throws {
        try await log.append(
            try (0..<count).map { number in
                let event = Event(user: "other-\(number)", item: "x", time: 1_700_000_000_000)
                return OutgoingRecord(
                    topic: Topic.userEvents.rawValue,
                    key: Array(event.user.utf8),
                    value: try event.encoded()
                )
            }
        )
    }

    private func place(_ path: String) throws -> LogPlace {
        let state = try #require(try ImportState.read(path))
        return try #require(state.place)
    }

    /// A log that was made anew has as many records as the old one had, and none of the import's.
    @Test(arguments: ["time", "file", "interleaved"], [true, false])
    func aLogThatWasMadeAnewAndHasGrownIsRefused(order: String, wasFinished: Bool) async throws {
        let (log, anew) = (try await TestLog.open(), try await TestLog.open())
        let path = try stage.write(text(0..<12))
        let state = "\(stage.folder)/state"
        let flags = ["order": order, "batch-events": "4", "state": state]
        if wasFinished {
            try await stage.flow(path, log, flags).run(until: Shutdown())
        } else {
            await #expect(throws: StreamError.self) {
                try await stage.flow(path, stage.dying(log, at: 2, taking: 1), flags).run(until: Shutdown())
            }
        }
        #expect(try place(state).number == (wasFinished ? 11 : 3))
        try await fill(anew, 200)
        try stage.write(text(0..<15))
        let reason = await stage.refusal(path, anew, flags)
        #expect(reason.contains("another log") && reason.contains("made anew") && reason.contains(state))
        #expect(reason.contains("user-events/") && reason.contains("at offset"))
        #expect(try await stage.items(anew) == [])
        // The log that it was knows it still.
        try await stage.flow(path, log, flags).run(until: Shutdown())
        #expect(try await stage.items(log).count == 15)
        for one in [log, anew] { await one.close() }
    }

    /// A copy has the events, if elsewhere.
    @Test func aLogWithTheEventsElsewhereIsGoneOnWith() async throws {
        let (log, copy) = (try await TestLog.open(), try await TestLog.open())
        let path = try stage.write(text(0..<12))
        let state = "\(stage.folder)/state"
        try await stage.flow(path, log, ["state": state]).run(until: Shutdown())
        let before = try place(state)
        try await fill(copy, 40)
        try await copy.append(
            try await TestLog.records(log, ofUsers: stage.user).map {
                OutgoingRecord(topic: Topic.userEvents.rawValue, key: $0.key, value: $0.value, headers: $0.headers)
            }
        )
        try stage.write(text(0..<14))
        try await stage.flow(path, copy, ["state": state]).run(until: Shutdown())
        #expect(try await stage.items(copy).count == 14)
        #expect(try place(state) != before)
        for one in [log, copy] { await one.close() }
    }

    /// As versions before left it, or a run that could not look: the event is looked for in all of the log.
    @Test func aStateWithoutAPlaceIsLookedFor() async throws {
        let (log, anew) = (try await TestLog.open(), try await TestLog.open())
        let path = try stage.write(text(0..<12))
        let statePath = "\(stage.folder)/state"
        try await stage.flow(path, log, ["state": statePath]).run(until: Shutdown())
        var state = try #require(try ImportState.read(statePath))
        (state.place, state.totals) = (nil, nil)
        try state.write(to: statePath)
        try await fill(anew, 200)
        #expect(await stage.refusal(path, anew, ["state": statePath]).contains("has not event 11"))
        try stage.write(text(0..<13))
        try await stage.flow(path, log, ["state": statePath]).run(until: Shutdown())
        #expect(try await stage.items(log).count == 13)
        #expect(try place(statePath).number == 12)
        for one in [log, anew] { await one.close() }
    }

    /// A log that says that it has deleted records.
    private final class ForgetfulLog: ForwardingLog {
        let log: any MessageLog
        init(_ log: any MessageLog) { self.log = log }

        func watermarks(of partition: TopicPartition) async throws(StreamError) -> (low: Int64, high: Int64) {
            let high = try await log.watermarks(of: partition).high
            return (high, high)
        }
    }

    /// Events are deleted by their age, and new ones must go all the same.
    @Test func aLogThatHasDeletedWhatWasSentIsGoneOnWith() async throws {
        let log = try await TestLog.open()
        let path = try stage.write(text(0..<12))
        try await stage.flow(path, log).run(until: Shutdown())
        try stage.write(text(0..<14))
        try await stage.flow(path, ForgetfulLog(log)).run(until: Shutdown())
        #expect(try await stage.items(log).count == 14)
        await log.close()
    }

    /// Over Kafka commits take offsets of their own, and records of transactions are not always there at once.
    @Test(arguments: TestedLog.available)
    func placesAreFoundInBothLogs(kind: TestedLog) async throws {
        let log = try await kind.open()
        let topic = "test-\(UUID().uuidString.lowercased())"
        try await log.createTopics([
            TopicSpecification(name: topic, partitionCount: 2, cleanup: .delete(after: .seconds(86_400))),
            TopicSpecification(name: topic + "-in", partitionCount: 1, cleanup: .delete(after: .seconds(86_400))),
        ])
        let trace = ImportTrace(log: log, partitionCount: 2, id: "0123456789abcdef", topic: topic)
        @Sendable func record(_ number: Int, isOther: Bool = false) -> OutgoingRecord {
            OutgoingRecord(
                topic: topic,
                key: Array("u\(number % 5)".utf8),
                value: [1],
                headers: isOther ? [] : [trace.header(number)]
            )
        }
        try await log.append((0..<30).map { record($0, isOther: $0 % 3 == 0) })
        // What a worker sends on is part of a transaction.
        try await log.append([OutgoingRecord(topic: topic + "-in", key: nil, value: [1])])
        let subscription = try await log.subscribe(
            SubscriptionOptions(
                topics: [topic + "-in"],
                membership: .group(topic),
                memberName: topic,
                outputTopics: [topic]
            )
        )
        read: while let event = try await subscription.next() {
            guard case .batch(let batch) = event else { continue }
            try await subscription.commit(batch, producing: (0..<10).map { record($0, isOther: true) })
            break read
        }
        try await log.append((30..<40).map { record($0) } + (0..<500).map { record($0, isOther: true) })
        for number in [1, 29, 30, 39] {
            let place = try #require(try await trace.latestPlace(of: number, user: Array("u\(number % 5)".utf8)))
            #expect(place.number == number)
            #expect(try await trace.look(at: place) == .record)
            #expect(try await trace.place(of: number) == place)
        }
        #expect(try await trace.missing(of: 28..<42) == [40, 41])
        let last = try await log.watermarks(of: TopicPartition(topic, 0)).high
        #expect(
            try await trace.look(at: LogPlace(partition: 0, offset: last, number: 39))
                == .other("the partition ends at offset \(last)")
        )
        await subscription.close()
        await log.close()
    }

    /// Others append all the while, so the event is not among the last records, and may be read at a moving end.
    @Test func whatOthersSendMeanwhileDoesNotHideThePlace() async throws {
        let log = try await TestLog.open()
        let path = try stage.write(text(0..<12))
        let busy = GuardedLog(log) { (records, log) throws(StreamError) in
            try await log.append(records)
            do { try await self.fill(log, 2_000) } catch { throw .fatal("\(error)") }
        }
        try await stage.flow(path, busy).run(until: Shutdown())
        let state = try stage.state(of: path)
        let place = try #require(state.place)
        #expect(place.number == 11)
        let trace = ImportTrace(log: log, partitionCount: 4, id: state.id)
        #expect(try await trace.look(at: place) == .record)
        #expect(try await trace.place(of: 11) == place)
        #expect(try await trace.place(of: 12) == nil)
        #expect(try await trace.missing(of: 10..<14) == [12, 13])
        for other in [
            LogPlace(partition: place.partition, offset: place.offset + 1, number: 11),
            LogPlace(partition: place.partition, offset: place.offset, number: 10),
            LogPlace(partition: place.partition, offset: 1 << 40, number: 11),
            LogPlace(partition: 4, offset: place.offset, number: 11),
        ] {
            guard case .other = try await trace.look(at: other) else {
                Issue.record("found \(other)")
                continue
            }
        }
        await log.close()
    }
}
