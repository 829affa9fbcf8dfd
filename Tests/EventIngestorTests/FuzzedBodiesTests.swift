import Foundation
import HTTPServer
import Bytes
import Messages
import ServiceRuntime
import MessageLogs
import TestSupport
import Testing

@testable import EventIngestor

/// Damaged request bodies: each event of them is taken or refused with a reason, and nothing crashes.
@Suite struct FuzzedBodiesTests {
    private static let count = Fuzzer.count(full: 500_000, daily: 20_000)

    private static let bodies: [(type: String?, text: String)] = [
        (nil, #"{"user":"u1","item":"i1","rating":4.5,"time":1700000000000,"categories":["a","b"],"event_id":"e"}"#),
        ("application/json", #"[{"user":"u1","item":"i1"},{"user":"u2","item":"i2","time":"2026-01-31T12:00:00Z"}]"#),
        (
            "application/x-ndjson",
            "{\"user\":\"u1\",\"item\":\"i1\"}\n\n{\"user\":\"u2\",\"item\":\"i2\",\"time\":1700000000000}\r\n"
        ),
        (nil, "{\"user\":\"a\\\"b\",\"item\":\"i\"}\n{\"user\":\"u\",\"item\":\"i\",\"more\":{\"deep\":[1,null]}}"),
    ]

    @Test func everyBodyIsAnsweredWithAReason() async throws {
        let real = try await TestLog.open()
        // What comes to the log must be what it would take.
        let log = GuardedLog(real) { (records, _) throws(StreamError) in
            for record in records {
                let event = try? Event(decoding: record.value ?? [], contentType: nil)
                if event.map({ Array($0.user.utf8) }) != record.key { throw .fatal("a record that is no event") }
            }
        }
        let metrics = EventIngestorMetrics(MetricsRegistry())
        let appender = EventAppender(
            log: log,
            maximumWaitingByteCount: 1 << 20,
            metrics: metrics,
            health: Health().condition("log reachable", waitingFor: ""),
            logger: silentLogger
        )
        let router = EventRoutes(appender: appender, maximumEventByteCount: 10_000, isStrict: false, metrics: metrics)
            .router
        var fuzzer = Fuzzer(seed: 7)
        var statuses: [Int: Int] = [:]
        for index in 0..<Self.count {
            let (type, text) = Self.bodies[index % Self.bodies.count]
            let body = fuzzer.damaged(Array(text.utf8))
            let headers = type.map { [(name: "content-type", value: $0)] } ?? []
            let request = HTTPRequest(method: "POST", path: "/v1/events", headers: headers, body: body)
            let response = await router.respond(to: request)
            statuses[response.status, default: 0] += 1
            guard case .bytes(let bytes) = response.body, isRight(response.status, Data(bytes)) else {
                Issue.record("\(response.status) for \(String(decoding: body, as: UTF8.self))")
                break
            }
        }
        #expect(Set(statuses.keys).isSubset(of: [202, 400, 413]))
        #expect((statuses[202] ?? 0) > 0 && (statuses[400] ?? 0) > Self.count / 4)
        await real.close()
    }

    /// Whether an answer says how many were taken, and why the others were not.
    private func isRight(_ status: Int, _ body: Data) -> Bool {
        guard let reply = try? JSONDecoder().decode(Reply.self, from: body) else { return false }
        switch status {
        case 202: return reply.accepted != nil && reply.rejected == 0
        case 400, 413: return reply.error?.message.isEmpty == false
        default: return false
        }
    }
}
