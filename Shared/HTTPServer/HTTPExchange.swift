import CMicrohttpd
import Synchronization

/// One request and its response, from its headers until the library says that it is over.
///
/// `@unchecked`: `body` and the request's parts are touched only by the library's thread until the request is handed
/// over, and only by its handler after that; the rest is under the lock. The connection's pointer is used by another
/// thread only to resume it, which the library allows while it is suspended.
final class HTTPExchange: @unchecked Sendable {
    private enum Phase {
        case receiving
        case handling
        case answered(HTTPResponse, HTTPStreamWriter?)
        case sending(HTTPStreamWriter?)
        case over
    }

    /// What the server answers without asking a handler.
    enum Refusal: Sendable {
        case bodyTooLarge
        case overloaded
        case badRequest(String)
    }

    let connection: OpaquePointer
    var request: HTTPRequest
    var body: [UInt8] = []
    var receivedByteCount = 0
    var refusal: Refusal?
    private let phase = Mutex(Phase.receiving)

    init(connection: OpaquePointer, request: HTTPRequest, refusal: Refusal?) {
        self.connection = connection
        self.request = request
        self.refusal = refusal
    }

    /// Suspends the connection until `respond`; on the library's thread.
    func beginHandling() {
        phase.withLock { phase in
            phase = .handling
            MHD_suspend_connection(connection)
        }
    }

    /// Gives the response; the first one counts.
    ///
    /// - Returns: who takes the pieces of a streamed body; nil when there is none, or the request is over.
    @discardableResult
    func respond(_ response: HTTPResponse) -> HTTPStreamWriter? {
        phase.withLock { phase in
            guard case .handling = phase else { return nil }
            var writer: HTTPStreamWriter?
            if case .stream = response.body { writer = HTTPStreamWriter() }
            phase = .answered(response, writer)
            MHD_resume_connection(connection)
            return writer
        }
    }

    /// Takes the response that was given, once; on the library's thread.
    func takeResponse() -> (HTTPResponse, HTTPStreamWriter?)? {
        phase.withLock { phase in
            guard case .answered(let response, let writer) = phase else { return nil }
            phase = .sending(writer)
            return (response, writer)
        }
    }

    /// Whether no handler has it yet.
    var isReceiving: Bool {
        phase.withLock { if case .receiving = $0 { true } else { false } }
    }

    /// Ends it early, so that the connection is not suspended any more: 503, or the end of a stream.
    func abort() {
        respond(.error(503, "the service is stopping", headers: [("Retry-After", "1")]))
        let writer: HTTPStreamWriter? = phase.withLock { phase in
            switch phase {
            case .answered(_, let writer), .sending(let writer): writer
            default: nil
            }
        }
        writer?.close()
        writer?.finish()
    }

    /// Says that the library has forgotten the request, answered or not.
    func end() {
        let writer: HTTPStreamWriter? = phase.withLock { phase in
            defer { phase = .over }
            switch phase {
            case .answered(_, let writer), .sending(let writer): return writer
            default: return nil
            }
        }
        writer?.close()
    }
}
