import CMicrohttpd
import Synchronization

/// One request and its response, from its first line until the library says that it is over.
///
/// `@unchecked`: `body` and the request's parts are touched only by the library's thread until the request is handed
/// over, and only by its handler after that; the rest is under the locks. The connection's pointer is used by another
/// thread only to resume it, which the library allows while it is suspended.
final class HTTPExchange: @unchecked Sendable {
    private enum Phase {
        case receiving
        case handling
        case answered(HTTPResponse, HTTPStreamWriter?)
        case sending(HTTPStreamWriter?)
        /// The client has gone: nothing is sent any more.
        case abandoned
        case over
    }

    /// The task that works on a request.
    ///
    /// `@unchecked`: a task may be cancelled from any thread while it runs, and the reference is taken back before it
    /// ends.
    private struct Worker: @unchecked Sendable {
        let task: UnsafeCurrentTask?
    }

    let connection: OpaquePointer
    let connectionID: ConnectionTable.ID
    /// The query as it came; nil when there is none.
    let query: [UInt8]?
    var request = HTTPRequest(method: "", path: "")
    /// Whether the library has shown the head already.
    var hasHead = false
    /// How long the body is, when the head says so.
    var contentLength: Int?
    /// Whether the client waits for "100 Continue" before it sends the body.
    var expectsContinue = false
    var body: [UInt8] = []
    var receivedByteCount = 0
    var refusal: RequestRefusal?
    /// The client that sent the request.
    var client = IPAddress.none
    /// Whether there were too many connections when this one began.
    var isOverLimit = false
    /// Whether the connection ends after this request, because only the library saw where its body ended.
    var closesConnection = false
    private let phase = Mutex(Phase.receiving)
    private let worker = Mutex<Worker?>(nil)

    init(connection: OpaquePointer, connectionID: ConnectionTable.ID, query: [UInt8]?) {
        self.connection = connection
        self.connectionID = connectionID
        self.query = query
    }

    // MARK: - Handling

    /// Suspends the connection until `respond`; on the library's thread.
    func beginHandling() {
        phase.withLock { phase in
            phase = .handling
            MHD_suspend_connection(connection)
        }
    }

    /// Runs the work on the request, to be cancelled when its client goes; skips it when the client has already gone.
    func work(_ body: () async -> Void) async {
        await withUnsafeCurrentTask { task in
            worker.withLock { $0 = Worker(task: task) }
            // After this line a hang-up finds the task; before it, nothing had begun.
            if !isAbandoned { await body() }
            worker.withLock { $0 = nil }
        }
    }

    private var isAbandoned: Bool {
        phase.withLock { phase in
            switch phase {
            case .abandoned, .over: true
            default: false
            }
        }
    }

    /// Gives the response; the first one counts.
    ///
    /// - Returns: the writer for a streamed body; nil when there is none, or the request is over.
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

    /// Whether no handler has been given the request yet.
    var isReceiving: Bool {
        phase.withLock { if case .receiving = $0 { true } else { false } }
    }

    // MARK: - Early ends

    /// Handles that the client has gone: work on its request stops, and its connection ends.
    func hangUp() {
        let writer: HTTPStreamWriter? = phase.withLock { phase in
            switch phase {
            case .handling:
                phase = .abandoned
                MHD_resume_connection(connection)
                return nil
            case .answered(_, let writer), .sending(let writer): return writer
            default: return nil
            }
        }
        writer?.hangUp()
        if writer != nil || isAbandoned { worker.withLock { $0?.task?.cancel() } }
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

    /// Notes that the library has forgotten the request, answered or not.
    func end() {
        let writer: HTTPStreamWriter? = phase.withLock { phase in
            defer { phase = .over }
            switch phase {
            case .answered(_, let writer), .sending(let writer): return writer
            default: return nil
            }
        }
        guard let writer else { return }
        writer.close()
        // An interrupted stream; a complete one has no work left.
        worker.withLock { $0?.task?.cancel() }
    }
}
