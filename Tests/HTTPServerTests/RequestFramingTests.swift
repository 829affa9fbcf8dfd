import TestSupport
import Testing

@testable import HTTPServer

/// Requests that two servers could read in two ways.
@Suite(.timeLimit(.minutes(15))) struct RequestFramingTests {
    /// What must never be answered: a request inside of another one, or behind a broken one.
    private static let hidden = "GET /hidden HTTP/1.1\r\nHost: localhost\r\n\r\n"

    private static let hiddenByteCount = hidden.utf8.count

    @Test(arguments: [
        ("two lengths", "Content-Length: 0\r\nContent-Length: \(hiddenByteCount)\r\n", 400),
        ("two equal lengths", "Content-Length: 0\r\ncontent-length: 0\r\n", 400),
        ("length, then chunks", "Content-Length: \(hiddenByteCount)\r\nTransfer-Encoding: chunked\r\n", 400),
        ("chunks, then length", "Transfer-Encoding: chunked\r\nContent-Length: 0\r\n", 400),
        ("chunks twice", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", 400),
        ("another coding", "Transfer-Encoding: gzip, chunked\r\n", 501),
        ("nearly chunked", "Transfer-Encoding: xchunked\r\n", 501),
        ("coding with a tab", "Transfer-Encoding: \tchunked\t\r\n", 501),
        ("blank before the colon", "Content-Length : \(hiddenByteCount)\r\n", 400),
        ("tab before the colon", "Transfer-Encoding\t: chunked\r\n", 400),
        ("blank before the name", " Content-Length: \(hiddenByteCount)\r\n", 400),
        ("folded value", "X-Part: a\r\n b\r\n", 400),
        ("folded by a tab", "X-Part: a\r\n\tb\r\n", 400),
        ("folded length", "Content-Length:\r\n \(hiddenByteCount)\r\n", 400),
        ("folded coding", "Transfer-Encoding:\r\n chunked\r\n", 400),
        ("folded twice", "X-Part: a\r\n b\r\n  c\r\nX-Next: d\r\n", 400),
        ("folded into a name", "X-Part: a\r\n Content-Length: \(hiddenByteCount)\r\n", 400),
        ("line without CR", "X-Part: a\nContent-Length: \(hiddenByteCount)\r\n", 400),
        ("last line without CR", "X-Part: a\n", 400),
        ("CR inside", "X-Part: a\rContent-Length: \(hiddenByteCount)\r\n", 400),
        ("NUL inside", "X-Part: a\0b\r\n", 400),
        ("control character", "X-Part: a\u{1}b\r\n", 400),
        ("no colon", "X-Part\r\n", 400),
        ("no name", ": a\r\n", 400),
        ("name with a bracket", "X(Part): a\r\n", 400),
        ("a length of more than 63 bits", "Content-Length: 18446744073709551615\r\n", 400),
        ("two hosts", "Host: localhost\r\n", 400),
        ("an unknown expectation", "Expect: the-moon\r\nContent-Length: 3\r\n", 417),
    ])
    func refusesAndCloses(what: String, headers: String, expected: Int) async throws {
        let server = RawServer()
        try await server.run { port in
            let request = "POST /open HTTP/1.1\r\nHost: localhost\r\n\(headers)\r\n\(Self.hidden)\(Self.hidden)"
            let text = try await RawConnection.exchange(request, port: port)
            #expect(text.httpStatus == expected, "\(what): \(text)")
            #expect(responseCount(text) == 1, "\(what): \(text)")
            #expect(server.paths.isEmpty, "\(what)")
        }
    }

    @Test(arguments: [
        ("GET  /open HTTP/1.1", 400), ("GET /open  HTTP/1.1", 400), ("GET /op en HTTP/1.1", 400),
        ("GET /open HTTP/1.1 ", 400), ("GET /open HTTP/1.2", 505), ("GET /open HTTP/2.0", 505),
        ("GET /open HTTP/0.9", 505), ("GET /open http/1.1", 400), ("GET /open", 400), ("GET open HTTP/1.1", 400),
        ("GET http://localhost/open HTTP/1.1", 400), ("OPTIONS * HTTP/1.1", 400), ("G(T /open HTTP/1.1", 400),
        ("GET /op\u{1}en HTTP/1.1", 400), ("GET /open?a=\u{7F} HTTP/1.1", 400), ("GET /open?a\0b HTTP/1.1", 400),
        ("GET /op\0en HTTP/1.1", 400),
    ])
    func refusesBrokenFirstLines(line: String, expected: Int) async throws {
        let server = RawServer()
        try await server.run { port in
            let text = try await RawConnection.exchange("\(line)\r\nHost: localhost\r\n\r\n\(Self.hidden)", port: port)
            #expect(text.httpStatus == expected, "\(line): \(text)")
            #expect(responseCount(text) == 1, "\(line): \(text)")
            #expect(server.paths.isEmpty, "\(line)")
        }
    }

    /// The library refuses these itself before it asks us, and writes the head of its answer twice.
    @Test(arguments: [
        ("+41", 400), ("-41", 400), ("0x20", 400), ("1e2", 400), ("5, 5", 400), ("1 2", 400), ("5;", 400), ("", 400),
        ("\u{665}", 400), ("184467440737095516160", 413),
    ])
    func refusesLengthsThatAreNoNumbers(length: String, expected: Int) async throws {
        let server = RawServer()
        try await server.run { port in
            let head = "POST /open HTTP/1.1\r\nHost: localhost\r\nContent-Length: \(length)\r\n\r\n"
            let text = try await RawConnection.exchange(head + Self.hidden + Self.hidden, port: port)
            #expect(text.httpStatus == expected && text.contains("Connection: close"), "\(length): \(text)")
            #expect(!text.contains("HTTP/1.1 2") && server.paths.isEmpty, "\(length): \(text)")
        }
    }

    @Test(arguments: ["GET\r\n\r\n", "\u{1}\u{2}\r\n\r\n", " \r\n\r\n", "\u{16}\u{3}\u{1}\r\n\r\n"])
    func closesOnWhatIsNoRequest(bytes: String) async throws {
        let server = RawServer()
        try await server.run { port in
            _ = try await RawConnection.exchange(bytes + Self.hidden, port: port)
            #expect(server.paths.isEmpty)
        }
    }

    @Test func needsAHostInHTTP11Alone() async throws {
        let server = RawServer()
        try await server.run { port in
            let missing = try await RawConnection.exchange("GET /open HTTP/1.1\r\n\r\n\(Self.hidden)", port: port)
            #expect(missing.httpStatus == 400 && missing.contains("Host") && responseCount(missing) == 1)
            let old = try await RawConnection.exchange("GET /old HTTP/1.0\r\n\r\n", port: port)
            #expect(old.httpStatus == 200 && old.hasSuffix("GET /old 0 bytes"))
            let chunked = "POST /old HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n\(Self.hidden)"
            #expect(try await RawConnection.exchange(chunked, port: port).httpStatus == 400)
            #expect(server.paths == ["/old"])
        }
    }

    /// Only the library sees where chunks end, and it is lenient: so nothing behind them is ever read.
    @Test(arguments: [
        "3\r\nabc\r\n0\r\n\r\n", "3\nabc\n0\n\n", "3;a=\nb\r\nabc\r\n0\r\n\r\n", "3;\"\r\nabc\r\n0\r\n\r\n",
        "3\r\nabc\r\n0\r\nX-Trailer: a\r\n b\r\n\r\n", "0003\r\nabc\r\n000\r\n\r\n",
    ])
    func chunksAreTheLastOfTheirConnection(chunks: String) async throws {
        let server = RawServer()
        try await server.run { port in
            let head = "POST /open HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
            let text = try await RawConnection.exchange(head + chunks + Self.hidden, port: port)
            #expect(responseCount(text) == 1, "\(text)")
            #expect(!server.paths.contains("/hidden"))
        }
    }

    @Test(arguments: [
        ("FFFFFFFFFFFFFFFFFFFF\r\nabc", 413), ("-3\r\nabc\r\n0\r\n\r\n", 400), ("+3\r\nabc\r\n0\r\n\r\n", 400),
        ("0x3\r\nabc\r\n0\r\n\r\n", 400), ("\r\nabc\r\n0\r\n\r\n", 400), ("3\r\nabcd\r\n0\r\n\r\n", 400),
        ("g\r\nabc\r\n0\r\n\r\n", 400),
    ])
    func refusesBrokenChunks(chunks: String, expected: Int) async throws {
        let server = RawServer()
        try await server.run { port in
            let head = "POST /open HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
            let text = try await RawConnection.exchange(head + chunks + Self.hidden, port: port)
            #expect(text.httpStatus == expected && responseCount(text) == 1, "\(text)")
            #expect(server.paths.isEmpty)
        }
    }

    @Test func aChunkOfAbsurdSizeIsCountedAsItComes() async throws {
        let server = RawServer()
        try await server.run({ $0.maximumBodyByteCount = 1_000 }) { port in
            let head =
                "POST /open HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n7FFFFFFFFFFFFFFF\r\n"
            let connection = try RawConnection(port: port)
            try await connection.send(head)
            try await connection.send([UInt8](repeating: 1, count: 20 << 20))
            #expect(try await connection.readToEnd().isEmpty)
            #expect(server.paths.isEmpty)
        }
    }

    @Test func answersWhatIsRightInOrder() async throws {
        let server = RawServer()
        try await server.run { port in
            let text = try await RawConnection.exchange(
                "\r\nPOST /one HTTP/1.1\r\nHost:localhost\r\nContent-Length:  3\r\nX-Empty:\r\n\r\nabc"
                    + "HEAD /two HTTP/1.1\r\nHost: \t localhost:8080\r\n\r\n"
                    + "PUT /three HTTP/1.1\r\nX-Wide: \u{E9} \r\nHost: [::1]:1\r\nContent-Length: 0\r\n\r\n"
                    + "GET /four?a=b&c HTTP/1.1\r\nHost: LOCALHOST.\r\nCookie: a=\"; b;; =c\r\nConnection: close\r\n\r\n",
                port: port
            )
            #expect(server.paths == ["/one", "/two", "/three", "/four"])
            #expect(responseCount(text) == 4 && !text.contains("HTTP/1.1 4"), "\(text)")
            #expect(text.contains("POST /one 3 bytes") && !text.contains("HEAD /two"))
        }
    }

    @Test func whatIsSentSlowlyIsReadAsOne() async throws {
        let server = RawServer()
        try await server.run { port in
            let connection = try RawConnection(port: port)
            let request =
                "POST /slow?x=1 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 3\r\n\r\nabc"
            for byte in request.utf8 { try await connection.send([byte]) }
            #expect(try await connection.readToEnd().hasSuffix("POST /slow 3 bytes"))
        }
    }
}
