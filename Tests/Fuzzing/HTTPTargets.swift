import Foundation
import Synchronization

@testable import HTTPServer

/// Requests as bytes on a connection, and their heads as the server's own rules see them.
enum HTTPTargets {
    static let all = [head, query, connection]

    /// A first line and headers, held against the rules of framing and of who may ask.
    private static let head = FuzzTarget(
        name: "http-head",
        seeds: {
            let headers = [("Host", "127.0.0.1:8080"), ("Content-Length", "12"), ("Origin", "http://localhost:8080")]
            let chunked = [("Host", "[::1]"), ("Transfer-Encoding", "chunked"), ("Expect", "100-continue")]
            return [headers, chunked, [("Host", "a.b"), ("Sec-Fetch-Site", "same-origin")]].map { headers in
                var seed = FuzzSeed()
                seed.text("POST")
                seed.text("HTTP/1.1")
                for (name, value) in headers {
                    seed.text(name)
                    seed.text(value)
                }
                return seed.input
            }
        },
        words: [
            "Host", "Content-Length", "Transfer-Encoding", "chunked", "gzip, chunked", "Origin", "null", "Expect",
            "100-continue", "Sec-Fetch-Site", "cross-site", "HTTP/1.0", "18446744073709551616", "+1", "0x10",
            "::ffff:1.2.3.4",
        ],
        run: { bytes in
            var input = FuzzInput(bytes)
            let (method, version) = (input.bytes(), input.bytes())
            var headers: [(name: [UInt8], value: [UInt8])] = []
            while !input.isEmpty { headers.append((input.bytes(), input.bytes())) }
            // The rules look at bytes where they lie, so all of them lie in one place while they do.
            let all = [method, version] + headers.flatMap { [$0.name, $0.value] }
            let joined = all.flatMap(\.self) + [0]
            joined.withUnsafeBytes { buffer in
                var start = 0
                let pieces = all.map { piece -> UnsafeRawBufferPointer in
                    defer { start += piece.count }
                    return UnsafeRawBufferPointer(rebasing: buffer[start..<start + piece.count])
                }
                var head = RequestHead(method: pieces[0], version: pieces[1])
                for index in stride(from: 2, to: pieces.count, by: 2) {
                    head.take(name: pieces[index], value: pieces[index + 1])
                }
                head.finish(isLineByLine: true)
                guard head.refusal == nil else { return }
                expect(head.contentLength ?? 0 >= 0, "a length of \(head.contentLength ?? 0)")
                expect(!head.isChunked || head.contentLength == nil, "two lengths were taken")
                _ = AllowedHosts(listeningOn: "127.0.0.1").refusal(
                    host: head.host,
                    origin: head.origin,
                    fetchSite: head.fetchSite,
                    ownAddress: { IPAddress("127.0.0.1") }
                )
            }
        }
    )

    /// What stands behind a question mark.
    private static let query = FuzzTarget(
        name: "http-query",
        seeds: { ["a=b&c=%41+d&e", "wait=10", "%C3%BC=%F0%9F%98%80&&="].map { Array($0.utf8) } },
        words: ["%00", "%ff", "%", "&", "=", "+", "%C3%BC"],
        run: { bytes in
            for (name, value) in try RequestQuery.parse(bytes, maximumCount: 100) {
                expect(!(name + value).utf8.contains(0), "a NUL was decoded")
            }
        }
    )

    /// Bytes on a connection to a server that answers with what it understood.
    private static let connection = FuzzTarget(
        name: "http-connection",
        seeds: {
            [
                "GET /a/b%20c?q=1 HTTP/1.1\r\nHost: localhost\r\n\r\n",
                "POST /echo HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 3\r\n\r\nabcGET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
                "POST /echo HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
                "GET / HTTP/1.0\r\n\r\n",
            ].map { Array($0.utf8) }
        },
        words: [
            "Transfer-Encoding: chunked\r\n", "Content-Length: 5\r\n", "Host: localhost\r\n", "\r\n\r\n", "\r\n ",
            "HTTP/1.1",
            "HTTP/1.0", "Connection: close\r\n", "Connection: keep-alive\r\n", "Expect: 100-continue\r\n", "0\r\n\r\n",
            "ffffffffffffffff\r\n", "Cookie: a=b\r\n", "%2e%2e/", "?a&b=%41",
        ],
        run: { bytes in try FuzzedServer.shared.exchange(bytes) }
    )
}

/// A server in this process, and connections to it.
private final class FuzzedServer: Sendable {
    static let shared = FuzzedServer()
    private let port: UInt16
    private let counter = Mutex<UInt32>(0)

    private init() {
        var router = HTTPRouter()
        router.on("GET", "/{first}/{second}") { request in
            .text(request.pathParameters.values.joined() + (request.queryValue("q") ?? ""))
        }
        router.on("POST", "/echo") { request in .json(request.body, status: 201) }
        let answered = router
        do {
            var configuration = HTTPServerConfiguration()
            // A request that never ends is not answered before this is over.
            configuration.idleTimeout = .seconds(1)
            let server = try HTTPServer(configuration) { await answered.respond(to: $0) }
            guard let port = UInt16(exactly: server.port) else { preconditionFailure("port \(server.port)") }
            self.port = port
            let forever = AsyncStream<Never> { _ in }
            // Lives as long as the process.
            Task.detached { try await server.run(until: { for await _ in forever {} }) }
        } catch {
            preconditionFailure("the server does not start: \(error)")
        }
    }

    /// Sends bytes and reads until the server closes; a server that does neither answer nor close ends the process.
    func exchange(_ bytes: [UInt8]) throws {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        precondition(descriptor >= 0, "no socket: errno \(errno)")
        defer { close(descriptor) }
        // Each connection from an address of its own: ports would run out, and a limit for each address would be met.
        let number = counter.withLock { value in
            value = value &+ 1
            return value
        }
        var own = sockaddr_in()
        own.sin_family = sa_family_t(AF_INET)
        own.sin_addr.s_addr = (0x7F01_0000 | number & 0x00FE_FFFF).bigEndian
        var server = own
        server.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        server.sin_port = port.bigEndian
        let size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let isConnected =
            withUnsafePointer(to: &own) { own in
                own.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(descriptor, $0, size) == 0 }
            }
            && withUnsafePointer(to: &server) { server in
                server.withMemoryRebound(to: sockaddr.self, capacity: 1) { connect(descriptor, $0, size) == 0 }
            }
        precondition(isConnected, "no connection: errno \(errno)")
        var patience = timeval(tv_sec: 60, tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &patience, socklen_t(MemoryLayout<timeval>.size))
        // The server may close before it has read all, so a failed write is no finding.
        _ = bytes.withUnsafeBytes { send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
        shutdown(descriptor, Int32(SHUT_WR))
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while true {
            let count = recv(descriptor, &buffer, buffer.count, 0)
            if count > 0 { continue }
            expect(count == 0 || errno != EAGAIN, "no answer and no end within a minute")
            return
        }
    }
}
