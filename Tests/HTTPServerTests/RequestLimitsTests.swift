import TestSupport
import Testing

@testable import HTTPServer

/// Requests that are larger than what there is for them get an answer, never silence.
@Suite(.timeLimit(.minutes(15))) struct RequestLimitsTests {
    private static let end = " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"

    @Test(arguments: [
        (String(repeating: "a&", count: 500), 414), (String(repeating: "a=b&", count: 65), 414),
        (String(repeating: "&", count: 10_000), 200), (String(repeating: "a=b&", count: 64), 200),
        (String(repeating: "x", count: 20_000), 200), (String(repeating: "x", count: 33_000), 414),
        ("a=%ff", 400), ("a=%00", 400), ("a=%4", 400), ("%=1", 400), ("a=%zz", 400),
    ])
    func answersLongAndBrokenQueries(query: String, expected: Int) async throws {
        let server = RawServer()
        try await server.run { port in
            let text = try await RawConnection.exchange("GET /open?\(query)\(Self.end)", port: port)
            #expect(text.httpStatus == expected, "\(query.prefix(20)): \(text.prefix(200))")
            #expect(text.contains("onnection: close"))
        }
    }

    /// Every size around the memory of a connection: no head falls into a gap between what is refused and what fits.
    @Test(arguments: ["one header", "many headers", "a cookie", "many cookies", "a path"])
    func answersHeadsOfEverySize(kind: String) async throws {
        let server = RawServer()
        try await server.run { port in
            for size in Array(stride(from: 1_000, to: 36_000, by: 500))
                + Array(stride(from: 18_000, to: 26_000, by: 41))
            {
                let long = String(repeating: "x", count: size)
                let (path, headers) =
                    switch kind {
                    case "one header": ("", "X-Long: \(long)\r\n")
                    case "many headers": ("", String(repeating: "X-A: b\r\n", count: size / 72))
                    case "a cookie": ("", "Cookie: \(String(repeating: "x", count: size / 2))\r\n")
                    case "many cookies": ("", "Cookie: \(String(repeating: "a;", count: size / 60))\r\n")
                    default: (long, "")
                    }
                let request = "GET /\(path) HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\(headers)\r\n"
                let text = try await RawConnection.exchange(request, port: port)
                #expect([200, 414, 431].contains(text.httpStatus), "\(kind), \(size): \(text.prefix(100))")
                if size <= 3_000 { #expect(text.httpStatus == 200, "\(kind), \(size)") }
                if size >= 35_500 { #expect(text.httpStatus != 200, "\(kind), \(size)") }
            }
        }
    }

    @Test(arguments: [100, 101, 5_000])
    func refusesManyHeaders(count: Int) async throws {
        let server = RawServer()
        try await server.run { port in
            // Two of them are Host and Connection.
            let headers = String(repeating: "A:\r\n", count: count - 2)
            let request = "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\(headers)\r\n"
            let answered = try await RawConnection.exchange(request, port: port)
            #expect(answered.httpStatus == (count <= 100 ? 200 : 431))
        }
    }

    @Test func aRefusedHeadIsAnsweredAlsoWhenItsBodyComes() async throws {
        let server = RawServer()
        try await server.run { port in
            let body = String(repeating: "b", count: 1 << 20)
            let head = "POST /open HTTP/1.1\r\nHost: elsewhere.example\r\nContent-Length: \(body.utf8.count)\r\n\r\n"
            let text = try await RawConnection.exchange(head + body, port: port)
            #expect(text.httpStatus == 403 && responseCount(text) == 1)
            #expect(server.paths.isEmpty)
        }
    }

    @Test func aClientThatWaitsToSendItsBodyIsToldAtOnce() async throws {
        let server = RawServer()
        try await server.run({ $0.maximumBodyByteCount = 10 }) { port in
            let head = "POST /open HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: "
            let refused = try await RawConnection.exchange("\(head)11\r\n\r\n", port: port)
            #expect(refused.httpStatus == 413 && responseCount(refused) == 1)
            let connection = try RawConnection(port: port)
            try await connection.send("\(head)3\r\n\r\n")
            #expect(try await connection.read(until: "\r\n\r\n").httpStatus == 100)
            try await connection.send("abc")
            #expect(try await connection.read(until: "3 bytes").httpStatus == 200)
        }
    }
}
