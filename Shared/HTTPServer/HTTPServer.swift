import CMicrohttpd
import Glibc
import Synchronization

/// An HTTP/1.1 server over libmicrohttpd.
///
/// The library's one thread reads and writes; each complete request is handed to a task of its own, its connection
/// suspended until the handler has answered. All limits are in the configuration.
public final class HTTPServer: Sendable {
    struct State {
        var exchanges: [ObjectIdentifier: HTTPExchange] = [:]
        var bufferedByteCount = 0
        var isStarted = false
        var isStopping = false
        var isRefusing = false
        var idleWaiter: CheckedContinuation<Void, Never>?
    }

    /// The port that was taken.
    public let port: Int
    let configuration: HTTPServerConfiguration
    let state = Mutex(State())
    let requests: AsyncStream<HTTPExchange>
    let requestsContinuation: AsyncStream<HTTPExchange>.Continuation
    let onRefusal: @Sendable (Int) -> Void
    private let socket: Int32
    private let handler: HTTPHandler

    /// Takes the port; requests wait in the kernel's queue until `run`.
    ///
    /// - Parameters:
    ///   - configuration: where to listen, and the limits.
    ///   - onRefusal: called with the status of each answer that the server gives without asking the handler.
    ///   - handler: answers requests; runs in many tasks at once.
    /// - Throws: `HTTPServerError` when the port is taken or the host is not an address of this machine.
    public init(
        _ configuration: HTTPServerConfiguration,
        onRefusal: @escaping @Sendable (Int) -> Void = { _ in },
        handler: @escaping HTTPHandler
    ) throws(HTTPServerError) {
        (socket, port) = try ListeningSocket.open(host: configuration.host, port: configuration.port)
        self.configuration = configuration
        self.handler = handler
        self.onRefusal = onRefusal
        // Not bounded here: each connection has at most one request in it, and connections are bounded.
        (requests, requestsContinuation) = AsyncStream.makeStream()
    }

    deinit {
        // Once started, the socket is the library's, and closed when it lets go of it.
        if !state.withLock({ $0.isStarted }) { close(socket) }
    }

    /// Serves until `stop` returns, then lets the requests that are being worked on end.
    ///
    /// Call it once. Requests that last longer than the configuration's `drainDuration` are answered with 503 and their
    /// tasks cancelled.
    public func run(until stop: @escaping @Sendable () async -> Void) async throws {
        let daemon = try startDaemon()
        let listening = await withDiscardingTaskGroup { serving in
            serving.addTask { await self.serve() }
            await stop()
            let listening = await drain(daemon)
            requestsContinuation.finish()
            serving.cancelAll()
            return listening
        }
        // Blocks only until the library's thread has closed its connections, none of which is suspended.
        MHD_stop_daemon(daemon)
        // Not before: until then the library's thread may use the number, which would be another file's by then.
        if listening >= 0 { close(listening) }
    }

    private func startDaemon() throws(HTTPServerError) -> OpaquePointer {
        var settings = userllm_mhd_settings(
            listen_socket: socket,
            connection_limit: UInt32(configuration.maximumConnectionCount),
            connection_limit_per_address: UInt32(configuration.maximumConnectionCountPerAddress),
            idle_timeout_seconds: UInt32(max(1, configuration.idleTimeout.components.seconds)),
            header_memory: configuration.maximumHeaderByteCount
        )
        state.withLock { $0.isStarted = true }
        // The server outlives the daemon: `run` holds it and stops the daemon before it returns.
        let context = Unmanaged.passUnretained(self).toOpaque()
        guard
            let daemon = userllm_mhd_start(
                &settings,
                HTTPCallbacks.onRequest,
                HTTPCallbacks.onCompleted,
                HTTPCallbacks.keepEscapes,
                context
            )
        else {
            close(socket)
            throw HTTPServerError("libmicrohttpd could not start on port \(port): errno \(errno)")
        }
        return daemon
    }

    private func serve() async {
        await withDiscardingTaskGroup { group in
            for await exchange in requests {
                group.addTask { await self.handle(exchange) }
            }
            group.cancelAll()
        }
    }

    private func handle(_ exchange: HTTPExchange) async {
        let response = await handler(exchange.request)
        guard let writer = exchange.respond(response), case .stream(let body) = response.body else { return }
        // A stream that fails ends like one that is complete: the status is sent already, and the reader sees by the
        // missing last event that something is wrong.
        try? await body(writer)
        writer.finish()
    }

    // MARK: - Stopping

    /// Takes no more connections and lets the requests that are being worked on end.
    ///
    /// - Returns: the socket that was listened on, to be closed once the daemon has stopped; negative when there is none.
    private func drain(_ daemon: OpaquePointer) async -> Int32 {
        state.withLock { $0.isStopping = true }
        let listening = MHD_quiesce_daemon(daemon)
        await waitUntilIdle(atMost: configuration.drainDuration)
        let rest = state.withLock { state in
            state.isRefusing = true
            return Array(state.exchanges.values)
        }
        for exchange in rest { exchange.abort() }
        await waitUntilIdle(atMost: .seconds(1))
        return listening
    }

    private func waitUntilIdle(atMost limit: Duration) async {
        await withDiscardingTaskGroup { group in
            group.addTask {
                try? await Task.sleep(for: limit)
                self.state.withLock { $0.idleWaiter.take() }?.resume()
            }
            await withCheckedContinuation { continuation in
                let isIdle = state.withLock { state in
                    if state.exchanges.isEmpty || Task.isCancelled { return true }
                    state.idleWaiter = continuation
                    return false
                }
                if isIdle { continuation.resume() }
            }
            group.cancelAll()
        }
    }

    // MARK: - For the callbacks

    /// Remembers an exchange; false when the server takes no more.
    func add(_ exchange: HTTPExchange) {
        state.withLock { $0.exchanges[ObjectIdentifier(exchange)] = exchange }
    }

    /// Forgets an exchange and what its body took.
    func remove(_ exchange: HTTPExchange) {
        exchange.end()
        let waiter: CheckedContinuation<Void, Never>? = state.withLock { state in
            state.exchanges[ObjectIdentifier(exchange)] = nil
            state.bufferedByteCount -= exchange.body.count
            return state.isStopping && state.exchanges.isEmpty ? state.idleWaiter.take() : nil
        }
        waiter?.resume()
    }
}
