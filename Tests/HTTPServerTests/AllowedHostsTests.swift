import TestSupport
import Testing

@testable import HTTPServer

/// Pages of other sites, and names that were pointed at this machine.
@Suite(.timeLimit(.minutes(15))) struct AllowedHostsTests {
    @Test(arguments: [
        ("Host: localhost", 200), ("Host: LocalHost:8080", 200), ("Host: 127.0.0.1", 200), ("Host: 127.0.0.1:1", 200),
        ("Host: [::1]", 200), ("Host: [::1]:8080", 200), ("Host: [0:0:0:0:0:0:0:1]", 200), ("Host: localhost.", 200),
        ("Host: elsewhere.example", 403), ("Host: elsewhere.example:8080", 403), ("Host: localhost.example", 403),
        ("Host: xlocalhost", 403), ("Host: 127.0.0.2", 403), ("Host: 2130706433", 403), ("Host: 0.0.0.0", 403),
        ("Host: [::2]", 403), ("Host: [::ffff:127.0.0.1]", 200),
        ("Host:", 400), ("Host: local host", 400), ("Host: localhost:x", 400), ("Host: [::1", 400),
        ("Host: localhost/", 400), ("Host: a@localhost", 400), ("Host: localhost:123456", 400), ("Host: .", 400),
        ("Host: localhost\r\nOrigin: http://elsewhere.example", 403), ("Host: localhost\r\nOrigin: null", 403),
        ("Host: localhost\r\nOrigin: ", 403), ("Host: localhost\r\nOrigin: http://localhost:3000", 403),
        ("Host: localhost:8080\r\nOrigin: http://localhost", 403), ("Host: localhost\r\nOrigin: file://localhost", 403),
        ("Host: localhost:8080\r\nOrigin: http://LOCALHOST:8080", 200),
        ("Host: localhost\r\nOrigin: http://localhost:80", 200),
        ("Host: localhost:443\r\nOrigin: https://localhost", 200),
        ("Host: localhost\r\nOrigin: http://127.0.0.1", 403), ("Host: localhost\r\nOrigin: http://localhost.evil", 403),
        ("Host: localhost\r\nOrigin: http://evil@localhost", 403),
        ("Host: localhost\r\nSec-Fetch-Site: cross-site", 403), ("Host: localhost\r\nSEC-FETCH-SITE: Cross-Site", 403),
        ("Host: localhost\r\nSec-Fetch-Site: none", 200), ("Host: localhost\r\nSec-Fetch-Site: same-origin", 200),
        ("Host: localhost\r\nOrigin: http://localhost\r\nOrigin: http://elsewhere.example", 400),
        ("Host: localhost\r\nSec-Fetch-Site: none\r\nSec-Fetch-Site: cross-site", 400),
    ])
    func letsOnlyOwnNamesAndPagesIn(headers: String, expected: Int) async throws {
        let server = RawServer()
        try await server.run { port in
            for method in ["GET", "DELETE", "POST"] {
                let head = "\(method) /open HTTP/1.1\r\n\(headers)\r\nConnection: close\r\n"
                let body = method == "POST" ? "Content-Type: text/plain\r\nContent-Length: 2\r\n\r\n{}" : "\r\n"
                let text = try await RawConnection.exchange(head + body, port: port)
                #expect(text.httpStatus == expected, "\(method) \(headers): \(text)")
                if expected == 403 { #expect(text.contains("\"field\":")) }
            }
            #expect(server.paths.count == (expected == 200 ? 3 : 0))
        }
    }

    @Test func takesNamesThatWereAdded() async throws {
        let server = RawServer()
        let change: (inout HTTPServerConfiguration) -> Void = {
            $0.allowedHosts = AllowedHosts(listeningOn: "127.0.0.1", added: ["Gateway.example", "[2001:db8::1]"])
        }
        try await server.run(change) { port in
            for (headers, expected) in [
                ("Host: gateway.example:80", 200), ("Host: [2001:DB8::1]", 200), ("Host: localhost", 200),
                ("Host: x.gateway.example", 403),
                // The page of a name that was added, behind a proxy that changes the host.
                ("Host: 127.0.0.1:8080\r\nOrigin: https://gateway.example\r\nSec-Fetch-Site: cross-site", 200),
                ("Host: gateway.example\r\nOrigin: https://elsewhere.example", 403),
            ] {
                let request = "GET / HTTP/1.1\r\n\(headers)\r\nConnection: close\r\n\r\n"
                let text = try await RawConnection.exchange(request, port: port)
                #expect(text.httpStatus == expected, "\(headers): \(text)")
            }
        }
    }

    @Test func aStarTakesAnyNameButNoForeignPage() async throws {
        let server = RawServer()
        try await server.run({ $0.allowedHosts = AllowedHosts(listeningOn: "127.0.0.1", added: ["*"]) }) { port in
            for (headers, expected) in [
                ("Host: any.example", 200), ("Host: any.example\r\nOrigin: http://any.example", 200),
                ("Host: any.example\r\nOrigin: http://elsewhere.example", 403),
                ("Host: any.example\r\nSec-Fetch-Site: cross-site", 403),
            ] {
                let request = "GET / HTTP/1.1\r\n\(headers)\r\nConnection: close\r\n\r\n"
                let text = try await RawConnection.exchange(request, port: port)
                #expect(text.httpStatus == expected, "\(headers): \(text)")
            }
        }
    }

    /// A server on all addresses takes the one that the client connected to, as a health check by address does.
    @Test func aServerOnAllAddressesTakesTheOneThatWasAsked() async throws {
        let handler: HTTPHandler = { _ in .text("here") }
        var configuration = HTTPServerConfiguration(host: "0.0.0.0")
        configuration.drainDuration = .milliseconds(1)
        let server = try HTTPServer(configuration, handler: handler)
        let (stopped, stop) = AsyncStream<Never>.makeStream()
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await server.run(until: { for await _ in stopped {} }) }
            group.addTask {
                defer { stop.finish() }
                for (host, expected) in [("127.0.0.5", 200), ("127.0.0.6", 403), ("localhost", 200), ("0.0.0.0", 403)] {
                    let connection = try RawConnection(port: server.port, host: "127.0.0.5")
                    try await connection.send("GET / HTTP/1.1\r\nHost: \(host)\r\nConnection: close\r\n\r\n")
                    let text = try await connection.readToEnd()
                    #expect(text.httpStatus == expected, "\(host)")
                }
            }
            try await group.waitForAll()
        }
    }

    @Test func knowsWhatANameIs() {
        for name in ["*", "a", "a.example", "[::1]", "::1", "10.0.0.1", "bücher.example"] {
            #expect(AllowedHosts.isValid(name))
        }
        for name in ["", "http://a", "a:80", "a/b", "a b", "[::1", "a,b", "[]"] { #expect(!AllowedHosts.isValid(name)) }
    }
}
