import CMicrohttpd
import Glibc
import Synchronization

/// What libmicrohttpd calls, always on its own thread.
///
/// In a file of its own and outside of any actor, because Swift checks the executor of a callback that is isolated.
enum HTTPCallbacks {
    /// How much of a body that is too large is read and thrown away, so that the client reads the answer.
    private static let discardedByteCount = 16 << 20

    /// Called with the headers, then for each piece of the body, then once more; and again after a resume.
    static let onRequest: MHD_AccessHandlerCallback = { context, connection, url, method, _, data, dataSize, slot in
        guard let context, let connection, let url, let method, let dataSize, let slot else { return .NO }
        let server = Unmanaged<HTTPServer>.fromOpaque(context).takeUnretainedValue()
        guard let pointer = slot.pointee else {
            let exchange = begin(server, connection, path: String(cString: url), method: String(cString: method))
            server.add(exchange)
            slot.pointee = Unmanaged.passRetained(exchange).toOpaque()
            return isRefusedUnread(exchange, server) ? proceed(exchange, server) : .YES
        }
        let exchange = Unmanaged<HTTPExchange>.fromOpaque(pointer).takeUnretainedValue()
        if dataSize.pointee > 0, let data {
            let piece = UnsafeRawBufferPointer(start: data, count: dataSize.pointee)
            dataSize.pointee = 0
            return receive(piece, exchange, server) ? .YES : .NO
        }
        return proceed(exchange, server)
    }

    /// Called when a request is over: answered, refused, or its client gone.
    static let onCompleted: MHD_RequestCompletedCallback = { context, _, slot, _ in
        guard let context, let pointer = slot?.pointee else { return }
        slot?.pointee = nil
        let server = Unmanaged<HTTPServer>.fromOpaque(context).takeUnretainedValue()
        server.remove(Unmanaged<HTTPExchange>.fromOpaque(pointer).takeRetainedValue())
    }

    /// Leaves `%2F` and so on as they are, because a decoded path cannot be split into its parts any more.
    static let keepEscapes:
        @convention(c) (UnsafeMutableRawPointer?, OpaquePointer?, UnsafeMutablePointer<CChar>?) -> Int =
            { _, _, text in text.map { strlen($0) } ?? 0 }

    // MARK: - Receiving

    private static func begin(
        _ server: HTTPServer,
        _ connection: OpaquePointer,
        path: String,
        method: String
    ) -> HTTPExchange {
        let headers = values(of: connection, .HEADER_KIND)
        var query: [(name: String, value: String)] = []
        var refusal: HTTPExchange.Refusal?
        for (name, value) in values(of: connection, .GET_ARGUMENT_KIND) {
            guard let name = PercentEncoding.decode(name), let value = PercentEncoding.decode(value) else {
                refusal = .badRequest(
                    "the query is not valid: % must be followed by two hexadecimal digits, and the text be UTF-8"
                )
                break
            }
            query.append((name, value))
        }
        let request = HTTPRequest(method: method, path: path, query: query, headers: headers)
        if let length = request.header("content-length").flatMap({ Int($0) }),
            length > server.configuration.maximumBodyByteCount
        {
            refusal = .bodyTooLarge
        }
        return HTTPExchange(connection: connection, request: request, refusal: refusal)
    }

    /// Whether a request is answered before its body is read.
    ///
    /// So it is when the client waits to be told whether to send the body, and when the body is longer than what is thrown
    /// away: that client would find its connection broken, and no answer.
    private static func isRefusedUnread(_ exchange: HTTPExchange, _ server: HTTPServer) -> Bool {
        guard exchange.refusal != nil else { return false }
        let length = exchange.request.header("content-length").flatMap { Int($0) } ?? 0
        return exchange.request.header("expect")?.lowercased() == "100-continue"
            || length > server.configuration.maximumBodyByteCount + discardedByteCount
    }

    private static func values(of connection: OpaquePointer, _ kind: MHD_ValueKind) -> [(name: String, value: String)] {
        var found: [(name: String, value: String)] = []
        _ = withUnsafeMutablePointer(to: &found) { found in
            MHD_get_connection_values(
                connection,
                kind,
                { found, _, name, value in
                    guard let found, let name else { return .YES }
                    found.assumingMemoryBound(to: [(name: String, value: String)].self).pointee
                        .append((String(cString: name), value.map { String(cString: $0) } ?? ""))
                    return .YES
                },
                found
            )
        }
        return found
    }

    /// Keeps a piece of the body; false closes the connection.
    private static func receive(_ piece: UnsafeRawBufferPointer, _ exchange: HTTPExchange, _ server: HTTPServer) -> Bool
    {
        let limit = server.configuration.maximumBodyByteCount
        exchange.receivedByteCount += piece.count
        if exchange.receivedByteCount > limit { exchange.refusal = .bodyTooLarge }
        if exchange.refusal == nil {
            server.state.withLock { state in
                guard state.bufferedByteCount + piece.count <= server.configuration.maximumBufferedByteCount else {
                    exchange.refusal = .overloaded
                    return
                }
                state.bufferedByteCount += piece.count
                exchange.body.append(contentsOf: piece)
            }
        }
        return exchange.receivedByteCount <= limit + discardedByteCount
    }

    /// The request is complete, or was resumed.
    private static func proceed(_ exchange: HTTPExchange, _ server: HTTPServer) -> MHD_Result {
        if let (response, writer) = exchange.takeResponse() {
            let isStopping = server.state.withLock { $0.isStopping }
            return queue(response, writer, exchange.connection, closing: isStopping)
        }
        guard exchange.isReceiving else { return .NO }
        let isRefusing = server.state.withLock { $0.isRefusing }
        if let response = refusal(of: exchange, server, isRefusing: isRefusing) {
            server.onRefusal(response.status)
            return queue(response, nil, exchange.connection, closing: true)
        }
        exchange.request = HTTPRequest(exchange.request, body: exchange.body)
        exchange.beginHandling()
        server.requestsContinuation.yield(exchange)
        // A stop that came between the look and the suspension has not seen this exchange as one to end.
        if server.state.withLock({ $0.isRefusing }) { exchange.abort() }
        return .YES
    }

    private static func refusal(of exchange: HTTPExchange, _ server: HTTPServer, isRefusing: Bool) -> HTTPResponse? {
        if isRefusing { return .error(503, "the service is stopping", headers: [("Retry-After", "1")]) }
        switch exchange.refusal {
        case .bodyTooLarge:
            let limit = server.configuration.maximumBodyByteCount
            return .error(413, "the body is larger than \(limit) bytes: send it in smaller pieces")
        case .overloaded:
            return .error(
                503,
                "too many bytes of requests are waiting: send this request again later",
                headers: [("Retry-After", "1")]
            )
        case .badRequest(let reason): return .error(400, reason, field: "query")
        case nil: return nil
        }
    }

    // MARK: - Sending

    private static func queue(
        _ response: HTTPResponse,
        _ writer: HTTPStreamWriter?,
        _ connection: OpaquePointer,
        closing: Bool
    ) -> MHD_Result {
        guard let made = make(response, writer, connection) else { return .NO }
        defer { MHD_destroy_response(made) }
        for (name, value) in response.headers { MHD_add_response_header(made, name, value) }
        if closing { MHD_add_response_header(made, "Connection", "close") }
        return MHD_queue_response(connection, UInt32(response.status), made)
    }

    private static func make(
        _ response: HTTPResponse,
        _ writer: HTTPStreamWriter?,
        _ connection: OpaquePointer
    ) -> OpaquePointer? {
        if case .bytes(let bytes) = response.body {
            // The library copies, so the pointer may be to something that cannot be changed.
            return bytes.withUnsafeBytes { bytes in
                MHD_create_response_from_buffer(
                    bytes.count,
                    UnsafeMutableRawPointer(mutating: bytes.baseAddress),
                    .RESPMEM_MUST_COPY
                )
            }
        }
        guard let writer else { return nil }
        let source = StreamSource(writer: writer, connection: connection)
        return MHD_create_response_from_callback(
            UInt64.max,
            32 << 10,
            { context, _, target, count in
                guard let context, let target else { return -1 }
                let source = Unmanaged<StreamSource>.fromOpaque(context).takeUnretainedValue()
                let buffer = UnsafeMutableRawBufferPointer(start: target, count: count)
                return source.writer.read(HTTPStreamRead(target: buffer, connection: source.connection))
            },
            Unmanaged.passRetained(source).toOpaque(),
            { context in
                guard let context else { return }
                Unmanaged<StreamSource>.fromOpaque(context).release()
            }
        )
    }

    /// What the library's reader needs; owned by the library's response.
    private final class StreamSource {
        let writer: HTTPStreamWriter
        let connection: OpaquePointer

        init(writer: HTTPStreamWriter, connection: OpaquePointer) {
            self.writer = writer
            self.connection = connection
        }
    }
}

extension HTTPRequest {
    fileprivate init(_ request: HTTPRequest, body: [UInt8]) {
        self.init(
            method: request.method,
            path: request.path,
            query: request.query,
            headers: request.headers,
            body: body
        )
    }
}
