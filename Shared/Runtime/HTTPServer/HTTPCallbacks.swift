import CMicrohttpd
import Glibc
import Synchronization

/// The callbacks of libmicrohttpd, always on its own thread.
///
/// In a file of its own and outside of any actor, because Swift checks the executor of an isolated callback.
enum HTTPCallbacks {
    /// How much of an unwanted body is read and discarded, so that the client reads the answer.
    private static let discardedByteCount = 16 << 20

    /// All of them.
    static let all = userllm_mhd_callbacks(
        on_request: onRequest,
        on_completed: onCompleted,
        on_connection: onConnection,
        on_target: onTarget,
        unescape: keepEscapes,
        on_message: onMessage
    )

    /// Called when a connection begins, and when it has ended.
    private static let onConnection: MHD_NotifyConnectionCallback = { context, connection, slot, code in
        guard let context, let connection, let slot else { return }
        let server = Unmanaged<HTTPServer>.fromOpaque(context).takeUnretainedValue()
        let descriptor = LibraryConnection.descriptor(of: connection)
        if userllm_mhd_begins(code) != 0 {
            let address = LibraryConnection.clientAddress(of: connection)
            slot.pointee = UnsafeMutableRawPointer(bitPattern: UInt(server.open(descriptor, address).word))
        } else if let word = slot.pointee {
            server.close(descriptor, ConnectionTable.ID(word: UInt64(UInt(bitPattern: word))))
        }
    }

    /// Called with the target of a request, before anything else of it is read.
    ///
    /// The query is removed here. The library would keep 56 bytes for each argument's name and value, and when they use
    /// up its memory it falls silent instead of refusing the request.
    private static let onTarget:
        @convention(c) (UnsafeMutableRawPointer?, UnsafePointer<CChar>?, OpaquePointer?)
            -> UnsafeMutableRawPointer? = { context, target, connection in
                guard let context, let connection else { return nil }
                let server = Unmanaged<HTTPServer>.fromOpaque(context).takeUnretainedValue()
                var query: [UInt8]?
                if let target, let mark = strchr(target, Int32(UInt8(ascii: "?"))) {
                    query = Array(UnsafeRawBufferPointer(start: mark + 1, count: strlen(mark + 1)))
                    mark[1] = 0
                }
                let id = LibraryConnection.id(of: connection)
                let exchange = HTTPExchange(connection: connection, connectionID: id, query: query)
                server.add(exchange)
                return Unmanaged.passRetained(exchange).toOpaque()
            }

    /// Called with the headers, then for each piece of the body, then once more; and again after a resume.
    private static let onRequest: MHD_AccessHandlerCallback = {
        context,
        connection,
        url,
        method,
        version,
        data,
        dataSize,
        slot in
        guard let context, let connection, let url, let method, let version, let dataSize, let pointer = slot?.pointee
        else { return .NO }
        let server = Unmanaged<HTTPServer>.fromOpaque(context).takeUnretainedValue()
        let exchange = Unmanaged<HTTPExchange>.fromOpaque(pointer).takeUnretainedValue()
        guard exchange.hasHead else {
            exchange.hasHead = true
            let line = RequestLine(method: method, path: url, query: exchange.query, version: version)
            guard HeadReader.read(line, into: exchange, server) else {
                server.onRefusal(HeadReader.tooLarge.status)
                LibraryConnection.write(HeadReader.tooLarge, to: connection)
                return .NO
            }
            return isRefusedUnread(exchange, server) ? proceed(exchange, server) : .YES
        }
        if dataSize.pointee > 0, let data {
            let piece = UnsafeRawBufferPointer(start: data, count: dataSize.pointee)
            dataSize.pointee = 0
            return receive(piece, exchange, server) ? .YES : .NO
        }
        return proceed(exchange, server)
    }

    /// Called when a request is over: answered, refused, or its client gone.
    private static let onCompleted: MHD_RequestCompletedCallback = { context, _, slot, _ in
        guard let context, let pointer = slot?.pointee else { return }
        slot?.pointee = nil
        let server = Unmanaged<HTTPServer>.fromOpaque(context).takeUnretainedValue()
        server.remove(Unmanaged<HTTPExchange>.fromOpaque(pointer).takeRetainedValue())
    }

    /// Leaves `%2F` and so on as they are, because a decoded path cannot be split into its parts any more.
    private static let keepEscapes:
        @convention(c) (UnsafeMutableRawPointer?, OpaquePointer?, UnsafeMutablePointer<CChar>?) -> Int =
            { _, _, text in text.map { strlen($0) } ?? 0 }

    /// Called with the library's log messages; only one of them is not reported in another way.
    private static let onMessage: MHD_LogCallback = { context, format, _ in
        guard let context, let format, strstr(format, "system resource limit") != nil else { return }
        Unmanaged<HTTPServer>.fromOpaque(context).takeUnretainedValue().onShortage()
    }

    // MARK: - Receiving

    /// Whether a request is answered before its body is read.
    ///
    /// This is so when it is uncertain where the body ends, when the client waits to be told whether to send it, and
    /// when it is longer than what is discarded: that client would find its connection broken, and no answer.
    private static func isRefusedUnread(_ exchange: HTTPExchange, _ server: HTTPServer) -> Bool {
        guard let refusal = exchange.refusal else { return false }
        let limit = server.configuration.maximumBodyByteCount + discardedByteCount
        return refusal.isUnread || exchange.expectsContinue || (exchange.contentLength ?? 0) > limit
    }

    /// Keeps a piece of the body; false closes the connection.
    private static func receive(_ piece: UnsafeRawBufferPointer, _ exchange: HTTPExchange, _ server: HTTPServer) -> Bool
    {
        let limit = server.configuration.maximumBodyByteCount
        exchange.receivedByteCount += piece.count
        if exchange.receivedByteCount > limit { exchange.refusal = exchange.refusal ?? bodyTooLarge(server) }
        if exchange.refusal == nil {
            server.state.withLock { state in
                guard state.bufferedByteCount + piece.count <= server.configuration.maximumBufferedByteCount else {
                    exchange.refusal = overloaded
                    return
                }
                state.bufferedByteCount += piece.count
                exchange.body.append(contentsOf: piece)
            }
        }
        return exchange.receivedByteCount <= limit + discardedByteCount
    }

    static func bodyTooLarge(_ server: HTTPServer) -> RequestRefusal {
        let limit = server.configuration.maximumBodyByteCount
        return RequestRefusal(413, "the body is larger than \(limit) bytes: send it in smaller pieces")
    }

    private static let overloaded = RequestRefusal(
        503,
        "too many bytes of requests are waiting: send this request again later",
        retryAfter: 1
    )
    private static let stopping = RequestRefusal(503, "the service is stopping", retryAfter: 1)

    /// Proceeds when the request is complete, or was resumed.
    private static func proceed(_ exchange: HTTPExchange, _ server: HTTPServer) -> MHD_Result {
        if let (response, writer) = exchange.takeResponse() {
            let isStopping = server.isStopping.load(ordering: .sequentiallyConsistent)
            return queue(response, writer, exchange.connection, closing: isStopping || exchange.closesConnection)
        }
        guard exchange.isReceiving else { return .NO }
        let isRefusing = server.isRefusing.load(ordering: .sequentiallyConsistent)
        if let refusal = isRefusing ? stopping : exchange.refusal {
            server.onRefusal(refusal.status)
            return queue(refusal.response, nil, exchange.connection, closing: true)
        }
        exchange.request.body = exchange.body
        exchange.beginHandling()
        server.requestsContinuation.yield(exchange)
        // A stop or a hang-up before the suspension has not seen this exchange as one to end.
        if server.state.withLock({ $0.connections.becomesBusy(exchange.connectionID) }) { exchange.hangUp() }
        if server.isRefusing.load(ordering: .sequentiallyConsistent) { exchange.abort() }
        return .YES
    }
}
