import CMicrohttpd
import Synchronization

/// The client went away, or the server stops, while a response was written.
public struct HTTPStreamClosed: Error, Sendable, CustomStringConvertible {
    /// Says so.
    public var description: String { "the client closed the connection" }
}

/// Takes the pieces of a body that is written while it is sent.
///
/// What the client has not accepted yet is buffered up to a limit; then `write` waits, so a slow client slows down only
/// its own writer. Thread-safe: one lock covers the buffer and whether the connection is suspended, because the
/// library's thread reads while a task writes. `@unchecked` because of the connection's pointer, which is used only
/// while the lock says that the connection is suspended, when the library allows it from any thread.
public final class HTTPStreamWriter: @unchecked Sendable {
    private struct State {
        var buffer: [UInt8] = []
        var first = 0
        var suspended: OpaquePointer?
        var isFinished = false
        var isClosed = false
        /// The client has gone: the connection is to be closed at once.
        var isBroken = false
        var waiter: CheckedContinuation<Void, Never>?

        var count: Int { buffer.count - first }
    }

    private static let maximumBufferedByteCount = 64 << 10
    private let state = Mutex(State())

    init() {}

    /// Writes a piece; waits while too much is buffered.
    ///
    /// - Throws: `HTTPStreamClosed` when nobody reads any more; `CancellationError` when the task was cancelled.
    public func write(_ bytes: [UInt8]) async throws {
        // Checked first: a client that goes cancels the task too.
        let isFull = try state.withLock { state throws(HTTPStreamClosed) in
            guard !state.isClosed else { throw HTTPStreamClosed() }
            guard !Task.isCancelled else { return false }
            state.buffer += bytes
            Self.wake(&state)
            return state.count > Self.maximumBufferedByteCount
        }
        if isFull { await waitForSpace() }
        guard !isClosed else { throw HTTPStreamClosed() }
        try Task.checkCancellation()
    }

    /// Writes one server-sent event.
    ///
    /// - Parameters:
    ///   - name: the event's type; nil for `message`.
    ///   - data: its data; line breaks become several `data` lines.
    /// - Throws: as `write` does.
    public func send(event name: String? = nil, data: String) async throws {
        var text = name.map { "event: \($0)\n" } ?? ""
        for line in data.split(separator: "\n", omittingEmptySubsequences: false) { text += "data: \(line)\n" }
        try await write(Array((text + "\n").utf8))
    }

    /// Writes a comment, which a client of server-sent events ignores.
    ///
    /// A proxy sees that the stream is alive. A client that vanished silently, as when its cable was pulled, is noticed
    /// because what was written is not acknowledged.
    public func sendHeartbeat() async throws {
        try await write(Array(": \n\n".utf8))
    }

    /// Whether nobody reads any more.
    public var isClosed: Bool { state.withLock { $0.isClosed } }

    private func waitForSpace() async {
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let mustWait = state.withLock { state in
                    guard state.count > Self.maximumBufferedByteCount, !state.isClosed, !Task.isCancelled else {
                        return false
                    }
                    state.waiter = continuation
                    return true
                }
                if !mustWait { continuation.resume() }
            }
        } onCancel: {
            state.withLock { $0.waiter.take() }?.resume()
        }
    }

    // MARK: - For the server

    /// Declares that nothing more will be written.
    func finish() {
        state.withLock { state in
            state.isFinished = true
            Self.wake(&state)
        }
    }

    /// Notes that nobody reads any more.
    func close() {
        let waiter = state.withLock { Self.close(&$0) }
        waiter?.resume()
    }

    /// Notes that the client has gone, so that the connection is closed and not merely abandoned.
    func hangUp() {
        let waiter = state.withLock { state in
            state.isBroken = true
            defer { Self.wake(&state) }
            return Self.close(&state)
        }
        waiter?.resume()
    }

    private static func close(_ state: inout State) -> CheckedContinuation<Void, Never>? {
        state.isClosed = true
        state.buffer = []
        state.first = 0
        return state.waiter.take()
    }

    /// Gives the library the available bytes; suspends the connection when there are none.
    ///
    /// - Returns: the number of bytes copied, 0 when suspended, -1 at the end, -2 when the client has gone.
    func read(_ read: HTTPStreamRead) -> Int {
        let (count, waiter): (Int, CheckedContinuation<Void, Never>?) = state.withLock { state in
            guard state.count > 0 else {
                if state.isBroken { return (-2, nil) }
                if state.isFinished { return (-1, nil) }
                state.suspended = read.connection
                MHD_suspend_connection(read.connection)
                return (0, nil)
            }
            let count = min(state.count, read.target.count)
            read.target.copyBytes(from: state.buffer[state.first..<state.first + count])
            state.first += count
            if state.first == state.buffer.count {
                state.buffer.removeAll(keepingCapacity: true)
                state.first = 0
            }
            return (count, state.count <= Self.maximumBufferedByteCount / 2 ? state.waiter.take() : nil)
        }
        waiter?.resume()
        return count
    }

    private static func wake(_ state: inout State) {
        guard let connection = state.suspended else { return }
        state.suspended = nil
        MHD_resume_connection(connection)
    }
}

/// What the library asks for; valid, like its pointers, only during the call.
struct HTTPStreamRead: @unchecked Sendable {
    let target: UnsafeMutableRawBufferPointer
    let connection: OpaquePointer
}
