import Foundation
import HTTPClient
import Bytes
import Messages
import MessageLogs
import Synchronization
import TestSupport
import Testing

@testable import EventIngestor

@Suite(.timeLimit(.minutes(15)))
struct EventRoutesTests {
    private let user = "routes-\(UUID().uuidString)"

    private func post(_ client: HTTPClient, _ url: String, _ body: String) async throws -> HTTPClientResponse {
        try await client.send(.init("POST", "\(url)/v1/events", body: Array(body.utf8)))
    }

    private func events(_ log: any MessageLog) async throws -> [Event] {
        try await TestLog.records(log, ofUsers: user).compactMap { record in
            try record.value.map { try Event(decoding: $0, contentType: record.header(ContentType.header)) }
        }
    }

    @Test func anAcceptedEventIsInTheLog() async throws {
        let log = try await TestLog.open()
        let user = user
        try await withIngestor(log) { client, url in
            let one = #"{"user":"\#(user)","item":"i1","rating":4.5,"time":1700000000000,"categories":["A"]}"#
            let reply = try await post(client, url, one)
            #expect(reply.status == 202 && reply.text == "{\"accepted\":1,\"rejected\":0}\n")
            #expect(
                try await post(client, url, #"[{"user":"\#(user)","item":"i2","time":1700000000000}]"#).status == 202
            )
            let lines = (3...5).map { #"{"user":"\#(user)","item":"i\#($0)","time":1700000000000}"# }.joined(
                separator: "\n"
            )
            #expect(try Reply(await post(client, url, lines)).accepted == 3)
        }
        let found = try await events(log)
        #expect(found.map(\.item) == ["i1", "i2", "i3", "i4", "i5"])
        #expect(
            found.first
                == Event(user: UserID(user), item: "i1", rating: 4.5, categories: ["A"], time: 1_700_000_000_000)
        )
        await log.close()
    }

    @Test func anEventWithoutTimeHappenedNow() async throws {
        let log = try await TestLog.open()
        let user = user
        let before = Int64(Date().timeIntervalSince1970 * 1_000)
        try await withIngestor(log) { client, url in
            let response = try await post(client, url, #"{"user":"\#(user)","item":"i"}"#)
            #expect(response.status == 202)
        }
        let time = try #require(try await events(log).first?.time)
        #expect((before...Int64(Date().timeIntervalSince1970 * 1_000)).contains(time))
        await log.close()
    }

    @Test func goodLinesAreTakenAndBadOnesNamed() async throws {
        let log = try await TestLog.open()
        let user = user
        try await withIngestor(log) { client, url in
            let body = """
                {"user":"\(user)","item":"good-1","time":1700000000000}
                {"user":"","item":"i"}

                {"item":"i"}
                {"user":"\(user)","item":"i","rating":"five"}
                {"user":"\(user)","item":"i"
                {"user":"\(user)","item":"i","text":"\(String(repeating: "x", count: 10_000))"}
                {"user":"\(user)","item":"good-2","time":1700000000000}
                """
            let response = try await post(client, url, body)
            let reply = try Reply(response)
            #expect(response.status == 400 && reply.accepted == 2 && reply.rejected == 5)
            let errors = try #require(reply.errors)
            #expect(errors.map(\.line) == [2, 4, 5, 6, 7])
            #expect(errors.map(\.field) == ["user", "user", "rating", nil, nil])
            #expect(errors[2].message.contains("number") && errors[4].message.contains("at most 10000"))
        }
        #expect(try await events(log).map(\.item) == ["good-1", "good-2"])
        await log.close()
    }

    @Test(
        arguments: [
            (#"{"user":"u"}"#, 400, "item"), (#"{"user":1.5,"item":"i"}"#, 400, "user"), ("42", 400, "body"),
            (#"["x"]"#, 400, nil), (#"{"user":"u\u0000","item":"i"}"#, 400, "user"),
        ] as [(String, Int, String?)]
    )
    func badRequestsNameTheField(body: String, status: Int, field: String?) async throws {
        let log = try await TestLog.open()
        try await withIngestor(log) { client, url in
            let response = try await post(client, url, body)
            let reply = try Reply(response)
            #expect(response.status == status)
            #expect((reply.errors?.first ?? reply.error)?.field == field)
        }
        await log.close()
    }

    @Test func aWrongEncodingIsNamed() async throws {
        let log = try await TestLog.open()
        try await withIngestor(log) { client, url in
            let latin: [UInt8] = Array(#"{"user":"u","item":""#.utf8) + [0xFC] + Array(#""}"#.utf8)
            let utf16: [UInt8] = [0xFF, 0xFE, 0x7B, 0x00]
            for body in [latin, utf16] {
                let response = try await client.send(.init("POST", "\(url)/v1/events", body: body))
                #expect(response.status == 400 && response.text.contains("UTF-8"))
            }
            let large = [UInt8](repeating: 0x20, count: 1 << 21)
            #expect(try await client.send(.init("POST", "\(url)/v1/events", body: large)).status == 413)
            let event = #"{"user":"u","item":"\#(String(repeating: "x", count: 20_000))"}"#
            #expect(try await post(client, url, event).status == 413)
        }
        await log.close()
    }

    @Test func aDeletionComesAfterTheEventsBeforeIt() async throws {
        let log = try await TestLog.open()
        let user = "\(user)/ü"
        try await withIngestor(log) { client, url in
            #expect(try await post(client, url, #"{"user":"\#(user)","item":"i","time":1700000000000}"#).status == 202)
            let path = user.replacing("/", with: "%2F").replacing("ü", with: "%C3%BC")
            let response = try await client.send(.init("DELETE", "\(url)/v1/users/\(path)"))
            #expect(response.status == 202)
            let long = String(repeating: "x", count: 600)
            #expect(try await client.send(.init("DELETE", "\(url)/v1/users/\(long)")).status == 400)
        }
        let records = try await TestLog.records(log, ofUsers: user)
        #expect(records.map { $0.value == nil } == [false, true])
        await log.close()
    }

    @Test func aLogThatIsAwayIsToldAndTheNextRequestGoesThrough() async throws {
        let log = try await TestLog.open()
        let isAway = Mutex(true)
        let flaky = GuardedLog(log) { (records, log) throws(StreamError) in
            if isAway.withLock({ $0 }) { throw .unavailable("no answer from the database") }
            try await log.append(records)
        }
        let body = #"{"user":"\#(user)","item":"i","time":1700000000000}"#
        try await withIngestor(flaky) { client, url in
            let response = try await post(client, url, body)
            #expect(response.status == 503 && response.header("Retry-After") != nil)
            #expect(response.text.contains("no answer from the database"))
            isAway.withLock { $0 = false }
            #expect(try await post(client, url, body).status == 202)
        }
        #expect(try await events(log).count == 1)
        await log.close()
    }

    @Test func tooMuchThatWaitsForTheLogIsRefused() async throws {
        let real = try await TestLog.open()
        let (entered, enter) = AsyncStream<Int>.makeStream()
        let (released, release) = AsyncStream<Void>.makeStream()
        let log = GuardedLog(real) { (records, log) throws(StreamError) in
            enter.yield(records.count)
            for await _ in released { break }
            try await log.append(records)
        }
        let user = user
        let body = #"{"user":"\#(user)","item":"\#(String(repeating: "x", count: 300))","time":1700000000000}"#
        try await withIngestor(log, maximumWaitingByteCount: 2_000) { client, url in
            try await withThrowingTaskGroup(of: Int.self) { group in
                // Four wait for the log, each on its own; those that do not fit are refused at once.
                for _ in 0..<7 { group.addTask { try await post(client, url, body).status } }
                var sizes = entered.makeAsyncIterator()
                for _ in 0..<4 { #expect(await sizes.next() == 1) }
                var statuses: [Int] = []
                while statuses.count < 3, let status = try await group.next() { statuses.append(status) }
                #expect(statuses == [429, 429, 429])
                for _ in 0..<4 { release.yield() }
                while let status = try await group.next() { statuses.append(status) }
                #expect(statuses.filter { $0 == 202 }.count == 4)
            }
        }
        #expect(try await events(real).count == 4)
        await real.close()
    }
}
