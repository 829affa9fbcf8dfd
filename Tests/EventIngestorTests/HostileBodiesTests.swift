import Foundation
import HTTPServer
import Bytes
import JSON
import Messages
import ServiceRuntime
import MessageLogs
import Synchronization
import TestSupport
import Testing

@testable import EventIngestor

/// Bodies that are large and wrong, or have more in them than an event: reading ends early, and what was taken is said.
@Suite(.timeLimit(.minutes(15)))
struct HostileBodiesTests {
    /// What came to the log.
    private final class Arrivals: Sendable {
        private let counts = Mutex<[Int]>([])
        private let items = Mutex<[String]>([])

        var sizes: [Int] { counts.withLock { $0 } }
        var total: Int { sizes.reduce(0, +) }
        var lastItem: String? { items.withLock { $0.last } }

        func add(_ records: [OutgoingRecord]) throws(StreamError) {
            counts.withLock { $0.append(records.count) }
            for record in records {
                guard let event = try? Event(decoding: record.value ?? [], contentType: nil) else {
                    throw .fatal("a record that is no event")
                }
                items.withLock { $0.append(event.item.text) }
            }
        }
    }

    private func respond(
        to body: String,
        type: String? = nil,
        isStrict: Bool = false,
        maximumWaitingByteCount: Int = 1 << 30,
        failingAppend: Int? = nil
    ) async throws -> (status: Int, reply: Reply, text: String, arrivals: Arrivals) {
        let real = try await TestLog.open()
        let arrivals = Arrivals()
        let log = GuardedLog(real) { (records, _) throws(StreamError) in
            if arrivals.sizes.count == failingAppend { throw .unavailable("away") }
            try arrivals.add(records)
        }
        let metrics = EventIngestorMetrics(MetricsRegistry())
        let appender = EventAppender(
            log: log,
            maximumWaitingByteCount: maximumWaitingByteCount,
            metrics: metrics,
            health: Health().condition("log reachable", waitingFor: ""),
            logger: silentLogger
        )
        let routes = EventRoutes(
            appender: appender,
            maximumEventByteCount: 10_000,
            isStrict: isStrict,
            metrics: metrics
        )
        let headers = type.map { [(name: "content-type", value: $0)] } ?? []
        let request = HTTPRequest(method: "POST", path: "/v1/events", headers: headers, body: Array(body.utf8))
        let response = await routes.router.respond(to: request)
        await real.close()
        guard case .bytes(let bytes) = response.body else { throw StreamError.fatal("a reply without bytes") }
        return (response.status, try Reply(bytes), String(decoding: bytes, as: UTF8.self), arrivals)
    }

    private func event(_ number: Int) -> String { "{\"user\":\"u\(number % 7)\",\"item\":\"i\(number)\"}" }

    @Test func anArrayOfCommasIsRefusedAtItsFirst() async throws {
        let answer = try await respond(to: "[" + String(repeating: ",", count: 16 << 20) + "]")
        #expect(answer.status == 400 && answer.arrivals.total == 0)
        #expect(answer.reply.error?.field == "body")
        #expect(answer.reply.error?.message.contains("at byte 2") == true, "\(answer.text)")
    }

    @Test func linesThatAreNoEventsEndTheReadingAtTheThousandth() async throws {
        let lines = Array(repeating: "{}", count: 1_000_000).joined(separator: "\n")
        let body = "\(event(1))\n\n\(lines)\n\(event(2))\n"
        let answer = try await respond(to: body, type: "application/x-ndjson")
        #expect(answer.status == 400)
        #expect(answer.reply.accepted == 1 && answer.reply.rejected == 1_000 && answer.reply.errors?.count == 1_000)
        #expect(answer.reply.stopped?.line == 1_002)
        #expect(answer.reply.error?.message.contains("nothing after line 1002 was read or taken") == true)
        #expect(answer.arrivals.lastItem == "i1" && answer.arrivals.total == 1)
        #expect(answer.text.utf8.count < 200_000)
    }

    @Test func elementsThatAreNoEventsEndTheReadingAtTheThousandth() async throws {
        let elements = [event(1)] + Array(repeating: "[]", count: 5_000) + [event(2)]
        let answer = try await respond(to: "[\(elements.joined(separator: ","))]")
        #expect(answer.status == 400 && answer.reply.accepted == 1 && answer.reply.rejected == 1_000)
        #expect(answer.reply.stopped?.index == 1_000)
        #expect(answer.arrivals.total == 1)
    }

    @Test func aThousandthErrorAtTheEndIsNoStop() async throws {
        let lines = Array(repeating: "{}", count: 1_000).joined(separator: "\n")
        let answer = try await respond(to: "\(event(1))\n\(lines)\n \n")
        #expect(answer.reply.accepted == 1 && answer.reply.rejected == 1_000 && answer.reply.stopped == nil)
    }

    @Test func aBodyOfBlankLinesIsReadToItsEnd() async throws {
        let blank = String(repeating: "\n", count: 8 << 20)
        let answer = try await respond(to: "\(event(1))\n\(blank)\(event(2))")
        #expect(answer.status == 202 && answer.reply.accepted == 2)
    }

    @Test func manyEventsGoToTheLogInParts() async throws {
        let count = 300_000
        let body = (0..<count).map(event).joined(separator: "\n")
        let answer = try await respond(to: body, maximumWaitingByteCount: 1_000)
        #expect(answer.status == 202 && answer.reply.accepted == count)
        #expect(answer.arrivals.total == count && answer.arrivals.lastItem == "i\(count - 1)")
        // Two events have about 60 bytes; none of the parts is of more than 4 MiB of them.
        #expect(answer.arrivals.sizes.count >= 2 && answer.arrivals.sizes.allSatisfy { $0 < 200_000 })
        let array = try await respond(to: "[" + (0..<count).map(event).joined(separator: ",") + "]")
        #expect(array.reply.accepted == count && array.arrivals.sizes.count >= 2)
    }

    @Test func largeEventsThatAreRefusedDoNotHideTheGoodOnesAfterThem() async throws {
        let large = (0..<600).map {
            "{\"user\":\"u\",\"item\":\"i\($0)\",\"text\":\"\(String(repeating: "x", count: 12_000))\"}"
        }
        let answer = try await respond(to: large.joined(separator: "\n") + "\n" + event(1))
        #expect(answer.status == 413 && answer.reply.accepted == 1 && answer.reply.rejected == 600)
    }

    @Test func aLogThatGoesAwayInBetweenIsToldWithWhatWasTaken() async throws {
        let body = (0..<300_000).map(event).joined(separator: "\n")
        let answer = try await respond(to: body, failingAppend: 1)
        #expect(answer.status == 503 && answer.arrivals.sizes.count == 1)
        let message = answer.reply.error?.message ?? ""
        #expect(message.contains("the first \(answer.arrivals.total) events of this request were taken"), "\(message)")
    }

    @Test func anArrayThatIsBrokenAtItsEndIsNotTakenAtAll() async throws {
        let answer = try await respond(to: "[" + (0..<300_000).map(event).joined(separator: ",") + ",]")
        #expect(answer.status == 400 && answer.arrivals.total == 0)
        #expect(answer.reply.error?.message.contains("after event 300000") == true, "\(answer.text)")
    }

    /// No value decides how long it is looked at: past the largest event there is nothing to find.
    @Test func aValueLargerThanAnyEventEndsTheReading() async throws {
        let nested = "[" + Array(repeating: "[[]]", count: 500_000).joined(separator: ",") + "]"
        let array = try await respond(to: "[\(event(1)),{\"user\":\(nested)},\(event(2))]")
        #expect(array.status == 413 && array.arrivals.total == 0)
        #expect(array.reply.error?.message.contains("event 1 of the array has more than 1048576 bytes") == true)
        let alone = try await respond(to: "{\"user\":\(nested)}")
        #expect(alone.status == 413 && alone.reply.rejected == 1 && alone.arrivals.total == 0)
        let lines = try await respond(to: "{\"user\":\(nested)}\n\(event(2))")
        #expect(lines.status == 413 && lines.reply.accepted == 1 && lines.arrivals.lastItem == "i2")
    }

    // MARK: - Fields

    @Test func fieldsThatAreNotKnownAreToldOnce() async throws {
        let lines = [
            #"{"user":"u","item":"a","foo":1,"device":{"os":"x"}}"#,
            #"{"user_id":7,"item_id":"b","foo":2,"timestamp":1700000000}"#,
        ]
        let answer = try await respond(to: lines.joined(separator: "\n"))
        #expect(answer.status == 202)
        #expect(answer.text == "{\"accepted\":2,\"rejected\":0,\"ignored\":[\"foo\",\"device\"]}\n")
        let many = (0..<30).map { "\"x\($0)\":1" }.joined(separator: ",")
        let long = try await respond(to: "{\"user\":\"u\",\"item\":\"a\",\(many)}")
        #expect(long.reply.ignored?.count == UnknownFields.maximumCount && long.text.contains("\"more_ignored\":true"))
    }

    @Test func fieldsThatAreNotKnownAreRefusedWhereThatIsAsked() async throws {
        let lines = [#"{"user":"u","item":"a","foo":1}"#, #"{"userId":"u","itemId":"b","ts":1700000000}"#]
        let answer = try await respond(to: lines.joined(separator: "\n"), isStrict: true)
        #expect(answer.status == 400 && answer.reply.accepted == 1 && answer.arrivals.lastItem == "b")
        #expect(answer.reply.errors?.first?.field == "foo")
        #expect(answer.reply.errors?.first?.message.contains("there are user, item, time") == true)
    }

    /// One rule for all who read JSON: each text is refused, and by the same words in a request and in the log.
    @Test(arguments: [
        #"{"user":"u","item":"a",}"#, #"{"user":"u","item":"a","categories":["x",]}"#,
        #"{"user":"u","user":"v","item":"a"}"#,
        #"{"user":"u","user_id":"u","item":"a"}"#, #"{"user":"\ud800","item":"a"}"#,
        #"{"user":"u","item":"a","rating":1e99}"#,
        #"{"user":"u","item":"a","x":[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[["#,
        "{'user':'u'}",
    ])
    func requestsAndRecordsFollowOneRule(text: String) async throws {
        let answer = try await respond(to: text)
        let error = #expect(throws: MessageError.self) {
            try Event(decoding: Array(text.utf8), contentType: nil, receivedAt: 1)
        }
        #expect(answer.status == 400 && answer.arrivals.total == 0)
        #expect(answer.reply.error?.message == error?.description)
    }
}
