import CMicrohttpd
import Glibc
import Synchronization

/// An HTTP/1.1 server over libmicrohttpd.
///
/// The library's one thread reads and writes; each complete request is handed to a task of its own, its connection
/// suspended until the handler has answered. When the client goes before that, the task is cancelled and the connection
/// closed. All limits are in the configuration.
public final class HTTPServer: Sendable {
    struct State {
        var connections: ConnectionTable
        var hangUps: HangUpWatch?
        var exchangeCount = 0
        var bufferedByteCount = 0
        var isStarted = false
        var idleWaiter: CheckedContinuation<Void, Never>?
    }

    /// The port that was taken.
    public let port: Int
    /// The most connections at once.
    public var maximumConnectionCount: Int { configuration.maximumConnectionCount }
    let configuration: HTTPServerConfiguration
    let state: Mutex<State>
    /// Whether a stop has begun: connections are closed after their answers.
    let isStopping = Atomic(false)
    /// Whether the stop no longer waits: requests are answered with 503.
    let isRefusing = Atomic(false)
    let requests: AsyncStream<HTTPExchange>
    let requestsContinuation: AsyncStream<HTTPExchange>.Continuation
    let onRefusal: @Sendable (Int) -> Void
    let onShortage: @Sendable () -> Void
    /// Connections that the library may have beyond the limit: those about to make room, or to be refused.
    private static let spareConnectionCount = 64
    private let socket: Int32
    private let handler: HTTPHandler

    /// Takes the port; requests wait in the kernel's queue until `run`.
    ///
    /// - Parameters:
    ///   - configuration: where to listen, and the limits.
    ///   - onRefusal: called with the status of each answer that the server gives without asking the handler.
    ///   - onShortage: called when a connection cannot be taken because the process has no descriptor left.
    ///   - handler: answers requests; runs in many tasks at once. Its task is cancelled when the client goes.
    /// - Throws: `HTTPServerError` when the port is taken or the host is not an address of this machine.
    public init(
        _ configuration: HTTPServerConfiguration,
        onRefusal: @escaping @Sendable (Int) -> Void = { _ in },
        onShortage: @escaping @Sendable () -> Void = {},
        handler: @escaping HTTPHandler
    ) throws(HTTPServerError) {
        (socket, port) = try ListeningSocket.open(host: configuration.host, port: configuration.port)
        self.configuration = configuration
        self.handler = handler
        self.onRefusal = onRefusal
        self.onShortage = onShortage
        state = Mutex(
            State(
                connections: ConnectionTable(
                    maximumCount: configuration.maximumConnectionCount,
                    maximumCountPerClient: configuration.maximumConnectionCountPerAddress
                        ?? max(1, configuration.maximumConnectionCount * 3 / 4)
                )
            )
        )
        // Unbounded, because each connection has at most one request in it, and connections are bounded.
        (requests, requestsContinuation) = AsyncStream.makeStream()
    }

    deinit {
        // Once started, the library owns the socket and closes it.
        if !state.withLock({ $0.isStarted }) { Glibc.close(socket) }
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
        state.withLock { $0.hangUps.take() }?.close()
        // Not earlier: until then the library's thread may use the descriptor, whose number could by then belong to
        // another file.
        if listening >= 0 { Glibc.close(listening) }
    }

    private func startDaemon() throws(HTTPServerError) -> OpaquePointer {
        var settings = userllm_mhd_settings(
            listen_socket: socket,
            connection_limit: UInt32(clamping: configuration.maximumConnectionCount + Self.spareConnectionCount),
            idle_timeout_seconds: UInt32(clamping: max(1, configuration.idleTimeout.components.seconds)),
            header_memory: configuration.maximumHeaderByteCount
        )
        var callbacks = HTTPCallbacks.all
        let hangUps = try HangUpWatch { [weak self] word in self?.hangUp(ConnectionTable.ID(word: word)) }
        state.withLock { state in
            state.isStarted = true
            state.hangUps = hangUps
        }
        // The server outlives the daemon: `run` holds it and stops the daemon before it returns.
        let context = Unmanaged.passUnretained(self).toOpaque()
        guard
            let daemon = userllm_mhd_start(&settings, &callbacks, context)
        else {
            hangUps.close()
            Glibc.close(socket)
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
        await exchange.work {
            let response = await handler(exchange.request)
            guard let writer = exchange.respond(response), case .stream(let body) = response.body else { return }
            // A stream that fails ends like a complete one: the status is already sent, and the reader notices from the
            // missing last event that something is wrong.
            try? await body(writer)
            writer.finish()
        }
    }

    // MARK: - Stopping

    /// Takes no more connections and lets the requests that are being worked on end.
    ///
    /// - Returns: the socket that was listened on, to be closed once the daemon has stopped; negative when there is
    ///   none.
    private func drain(_ daemon: OpaquePointer) async -> Int32 {
        isStopping.store(true, ordering: .sequentiallyConsistent)
        let listening = MHD_quiesce_daemon(daemon)
        await waitUntilIdle(atMost: configuration.drainDuration)
        isRefusing.store(true, ordering: .sequentiallyConsistent)
        let rest = state.withLock { $0.connections.exchanges }
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
                    if state.exchangeCount == 0 || Task.isCancelled { return true }
                    state.idleWaiter = continuation
                    return false
                }
                if isIdle { continuation.resume() }
            }
            group.cancelAll()
        }
    }

    // MARK: - For the callbacks

    /// Notes a new connection; when there are too many, ends the one that has waited longest for a request.
    func open(_ descriptor: Int32, _ address: IPAddress) -> ConnectionTable.ID {
        let (id, admission, hangUps) = state.withLock { state in
            let (id, admission) = state.connections.open(descriptor: descriptor, address: address)
            return (id, admission, state.hangUps)
        }
        // The library notices this like any other end, and closes it.
        if case .takenInsteadOf(let oldest) = admission { shutdown(oldest, Int32(SHUT_RDWR)) }
        hangUps?.add(descriptor, word: id.word)
        return id
    }

    /// Forgets a connection, which is closed when this returns.
    func close(_ descriptor: Int32, _ id: ConnectionTable.ID) {
        let hangUps = state.withLock { state in
            state.connections.close(id)
            return state.hangUps
        }
        hangUps?.remove(descriptor)
    }

    /// Ends the request in progress of a client that has gone; on any thread.
    private func hangUp(_ id: ConnectionTable.ID) {
        state.withLock { $0.connections.hangUp(id) }?.hangUp()
    }

    /// Remembers an exchange.
    func add(_ exchange: HTTPExchange) {
        (exchange.client, exchange.isOverLimit) = state.withLock { state in
            state.exchangeCount += 1
            state.connections.attach(exchange, to: exchange.connectionID)
            return state.connections.client(of: exchange.connectionID)
        }
    }

    /// Forgets an exchange and what its body took.
    func remove(_ exchange: HTTPExchange) {
        exchange.end()
        let waiter: CheckedContinuation<Void, Never>? = state.withLock { state in
            state.exchangeCount -= 1
            state.connections.becomesIdle(exchange.connectionID)
            state.bufferedByteCount -= exchange.body.count
            return state.exchangeCount == 0 ? state.idleWaiter.take() : nil
        }
        waiter?.resume()
    }
}
