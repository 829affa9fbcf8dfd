import CMicrohttpd
import Glibc

/// The first line of a request, where the library has it.
struct RequestLine {
    let method: UnsafePointer<CChar>
    /// Ends at the question mark.
    let path: UnsafePointer<CChar>
    let query: [UInt8]?
    let version: UnsafePointer<CChar>

    /// Whether the parts are adjacent, separated by single spaces.
    var isOneLine: Bool {
        let pathEnd = path + strlen(path)
        return path == method + strlen(method) + 1 && version == pathEnd + (query.map { $0.count + 1 } ?? 0) + 1
    }

    /// Where the next line begins, when this one ends with CR and LF.
    var end: UnsafeRawPointer { UnsafeRawPointer(version + strlen(version) + 2) }
}

/// Reads the head of a request from the library and checks it against the rules.
enum HeadReader {
    /// The library's memory for each header and each part of a cookie.
    private static let recordByteCount = 64
    /// What the library needs to answer, and to read a body.
    private static let reservedByteCount = 4_096

    /// The answer to a head that used up the library's memory, so that none is left for an answer.
    static let tooLarge = RequestRefusal.framing("the headers are too large: send fewer or shorter ones", status: 431)

    /// The library exposes names and values in place in the receive buffer.
    ///
    /// So lines that it joined, or ended where
    /// others would not, show up as addresses that do not follow the previous line's end.
    private struct Reading {
        var head: RequestHead
        var headers: [(name: String, value: String)] = []
        var next: UnsafeRawPointer
        var isLineByLine: Bool
        var cookieByteCount = 0

        mutating func take(_ name: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) {
            head.take(name: name, value: value)
            guard let nameStart = name.baseAddress, let valueStart = value.baseAddress else {
                isLineByLine = false
                return
            }
            isLineByLine = isLineByLine && nameStart == next && valueStart > nameStart + name.count
            next = valueStart + value.count + 2
            if name.count == 6, strncasecmp(nameStart.assumingMemoryBound(to: CChar.self), "cookie", 6) == 0 {
                cookieByteCount += value.count
            }
            headers.append((String(decoding: name, as: UTF8.self), String(decoding: value, as: UTF8.self)))
        }
    }

    /// Fills an exchange's request, or reports why it is refused.
    ///
    /// - Returns: false when the library could not send an answer.
    static func read(_ line: RequestLine, into exchange: HTTPExchange, _ server: HTTPServer) -> Bool {
        let connection = exchange.connection
        var reading = Reading(
            head: RequestHead(method: bytes(line.method), version: bytes(line.version)),
            next: line.end,
            isLineByLine: line.isOneLine
        )
        readHeaders(of: connection, &reading)
        let headEnd = UnsafeRawPointer(line.method) + LibraryConnection.headByteCount(of: connection)
        reading.head.finish(isLineByLine: reading.isLineByLine && reading.next + 2 == headEnd)
        guard hasRoom(connection, reading, server) else { return false }

        let head = reading.head
        exchange.contentLength = head.contentLength
        exchange.expectsContinue = head.expectsContinue
        exchange.closesConnection = head.isChunked
        do throws(RequestRefusal) {
            if let refusal = head.refusal { throw refusal }
            exchange.request = try request(line, reading.headers, exchange)
            if exchange.isOverLimit { throw tooMany }
            let refusal = server.configuration.allowedHosts.refusal(
                host: head.host,
                origin: head.origin,
                fetchSite: head.fetchSite,
                ownAddress: { LibraryConnection.ownAddress(of: connection) }
            )
            if let refusal { throw refusal }
            if let length = head.contentLength, length > server.configuration.maximumBodyByteCount {
                throw HTTPCallbacks.bodyTooLarge(server)
            }
            exchange.request.query = try query(exchange, server)
        } catch {
            exchange.refusal = error
        }
        return true
    }

    private static let tooMany = RequestRefusal(
        503,
        "too many connections are open: send this request again later",
        retryAfter: 1,
        isUnread: true
    )

    private static func readHeaders(of connection: OpaquePointer, _ reading: inout Reading) {
        reading.headers.reserveCapacity(8)
        _ = withUnsafeMutablePointer(to: &reading) { reading in
            MHD_get_connection_values_n(
                connection,
                .HEADER_KIND,
                { reading, _, name, nameCount, value, valueCount in
                    guard let reading else { return .NO }
                    reading.assumingMemoryBound(to: Reading.self).pointee.take(
                        UnsafeRawBufferPointer(start: name, count: nameCount),
                        UnsafeRawBufferPointer(start: value, count: valueCount)
                    )
                    return .YES
                },
                reading
            )
        }
    }

    private static func hasRoom(_ connection: OpaquePointer, _ reading: Reading, _ server: HTTPServer) -> Bool {
        var used = LibraryConnection.headByteCount(of: connection) + reading.headers.count * recordByteCount
        if reading.cookieByteCount > 0 {
            let cookieCount = MHD_get_connection_values(connection, .COOKIE_KIND, nil, nil)
            used += reading.cookieByteCount + Int(cookieCount) * recordByteCount
        }
        return used <= server.configuration.maximumHeaderByteCount - reservedByteCount
    }

    private static func request(
        _ line: RequestLine,
        _ headers: [(name: String, value: String)],
        _ exchange: HTTPExchange
    ) throws(RequestRefusal) -> HTTPRequest {
        let path = bytes(line.path)
        guard path.first == UInt8(ascii: "/") else {
            throw .framing("the target must begin with a slash", field: "path")
        }
        guard isPlain(path), exchange.query.map(isPlain) ?? true, let text = String(validatingCString: line.path) else {
            throw .framing("the target has a blank, a control character or what is not UTF-8 in it", field: "path")
        }
        return HTTPRequest(
            method: String(cString: line.method),
            path: text,
            headers: headers,
            client: exchange.client
        )
    }

    private static func query(
        _ exchange: HTTPExchange,
        _ server: HTTPServer
    ) throws(RequestRefusal) -> [(name: String, value: String)] {
        guard let query = exchange.query else { return [] }
        return try RequestQuery.parse(query, maximumCount: server.configuration.maximumQueryArgumentCount)
    }

    private static func isPlain(_ bytes: some Sequence<UInt8>) -> Bool {
        bytes.allSatisfy { $0 > 0x20 && $0 != 0x7F }
    }

    private static func bytes(_ text: UnsafePointer<CChar>) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(start: text, count: strlen(text))
    }
}
