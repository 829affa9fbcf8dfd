import Bytes
import TestSupport
import Testing

@testable import HTTPServer

/// Requests with damage anywhere: each gets one answer or none, and the server goes on.
@Suite(.timeLimit(.minutes(15))) struct DamagedRequestsTests {
    private static let requests = [
        "POST /v1/questions?wait=10&user=a%20b HTTP/1.1\r\nHost: localhost\r\nOrigin: http://localhost\r\n"
            + "Sec-Fetch-Site: same-origin\r\nContent-Type: application/json\r\nContent-Length: 13\r\n\r\n{\"user\":\"u1\"}",
        "POST /v1/events HTTP/1.1\r\nHost: [::1]:8080\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n"
            + "d\r\n{\"user\":\"u1\"}\r\n0\r\nX-End: 1\r\n\r\n",
        "GET /v1/answers/a%2Fb/stream HTTP/1.0\r\nConnection: keep-alive\r\nCookie: a=\"b\"; c\r\n\r\n",
    ]

    @Test(arguments: 0..<4) func damageNeverStopsTheServer(seed: UInt64) async throws {
        let server = RawServer()
        let change: (inout HTTPServerConfiguration) -> Void = {
            $0.maximumBodyByteCount = 10_000
            // The library may miss the end of a client that goes in the middle of a head, and closes it as an idle one.
            $0.idleTimeout = .seconds(1)
        }
        try await server.run(change) { port in
            var fuzzer = Fuzzer(seed: seed)
            for round in 0..<Fuzzer.count(full: 500, daily: 30) {
                let request = fuzzer.damaged(Array(Self.requests[round % Self.requests.count].utf8))
                let connection = try RawConnection(port: port)
                try await connection.send(request)
                connection.shutdownSending()
                _ = try await connection.readToEnd()
            }
            let request = "GET /still HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
            let text = try await RawConnection.exchange(request, port: port)
            #expect(text.hasSuffix("GET /still 0 bytes"))
        }
    }

    @Test(arguments: 0..<8) func headsAndQueriesAreReadWithoutTraps(seed: UInt64) {
        var fuzzer = Fuzzer(seed: seed)
        let pieces = [
            "Host", "localhost:80", "Content-Length", "18446744073709551616", "Transfer-Encoding", "chunked",
            "a=b&%41+",
        ]
        for _ in 0..<Fuzzer.count(full: 50_000, daily: 2_000) {
            let bytes = (0..<4).map { _ in
                fuzzer.damaged(Array((pieces.randomElement(using: &fuzzer.random) ?? "").utf8))
            }
            bytes[0].withUnsafeBytes { first in
                bytes[1].withUnsafeBytes { second in
                    var head = RequestHead(method: first, version: second)
                    head.take(name: first, value: second)
                    head.take(name: second, value: first)
                    head.finish(isLineByLine: true)
                    if head.refusal == nil { #expect(!(head.isChunked && head.contentLength != nil)) }
                    _ = AllowedHosts(listeningOn: "127.0.0.1", added: ["a.example"])
                        .refusal(host: first, origin: second, fetchSite: first) { nil }
                }
            }
            if let query = try? RequestQuery.parse(bytes[2], maximumCount: 4) { #expect(query.count <= 4) }
            if let text = PercentEncoding.decode(bytes[3]) { #expect(!text.utf8.contains(0)) }
            _ = IPAddress(String(decoding: bytes[3], as: UTF8.self))
        }
    }
}
