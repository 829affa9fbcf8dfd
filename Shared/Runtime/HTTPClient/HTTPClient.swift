import Synchronization

/// An HTTP client over libcurl: many requests at once on one thread, connections kept for the next.
public final class HTTPClient: Sendable {
    private let loop: TransferLoop
    private let maximumByteCount: Int

    /// Makes a client.
    ///
    /// - Parameters:
    ///   - maximumConnectionCount: more requests than this wait for one of the others to end.
    ///   - maximumByteCount: the largest answer that is kept.
    public init(maximumConnectionCount: Int = 64, maximumByteCount: Int = 64 << 20) {
        loop = TransferLoop.start(maximumConnectionCount: maximumConnectionCount)
        self.maximumByteCount = maximumByteCount
    }

    deinit { loop.close() }

    /// Sends a request and waits for the whole answer, whatever its status; ends early when the task is cancelled.
    public func send(_ request: HTTPClientRequest) async throws(HTTPClientError) -> HTTPClientResponse {
        let slot = Shared<Transfer>()
        let result: Result<HTTPClientResponse, HTTPClientError> = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let transfer = Transfer(request, maximumByteCount: maximumByteCount) {
                    continuation.resume(returning: $0)
                }
                slot.set(transfer)
                if Task.isCancelled { transfer.cancel() }
                loop.add(transfer)
            }
        } onCancel: {
            slot.value?.cancel()
            loop.wake()
        }
        return try result.get()
    }

    /// Sends a request and gives the answer's server-sent events as they come.
    ///
    /// The connection is closed when the sequence is no longer used. An answer whose status is not 2xx ends the
    /// sequence with an error that holds the answer's text.
    public func serverSentEvents(_ request: HTTPClientRequest) -> AsyncThrowingStream<ServerSentEvent, any Error> {
        let (stream, continuation) = AsyncThrowingStream<ServerSentEvent, any Error>.makeStream(
            bufferingPolicy: .bufferingOldest(Self.maximumEventCount)
        )
        let parser = Shared(ServerSentEventParser())
        let transfer = Transfer(
            request,
            maximumByteCount: maximumByteCount,
            onPiece: { _, bytes in Self.deliver(bytes, parser, continuation) },
            onEnd: { Self.finish($0, request, continuation) }
        )
        let loop = loop
        continuation.onTermination = { reason in
            guard case .cancelled = reason else { return }
            transfer.cancel()
            loop.wake()
        }
        loop.add(transfer)
        return stream
    }

    private static let maximumEventCount = 10_000
    private static let maximumEventByteCount = 16 << 20

    /// Delivers a piece; false when the reader is so slow, or an event so large, that the stream must end.
    private static func deliver(
        _ bytes: [UInt8],
        _ parser: Shared<ServerSentEventParser>,
        _ continuation: AsyncThrowingStream<ServerSentEvent, any Error>.Continuation
    ) -> Bool {
        var current = parser.value ?? ServerSentEventParser()
        let events = current.append(bytes)
        parser.set(current)
        for event in events {
            if case .dropped = continuation.yield(event) {
                continuation.finish(throwing: HTTPClientError("more than \(maximumEventCount) events wait to be read"))
                return false
            }
        }
        return current.heldByteCount <= maximumEventByteCount
    }

    private static func finish(
        _ result: Result<HTTPClientResponse, HTTPClientError>,
        _ request: HTTPClientRequest,
        _ continuation: AsyncThrowingStream<ServerSentEvent, any Error>.Continuation
    ) {
        switch result {
        case .success(let response) where (200..<300).contains(response.status): continuation.finish()
        case .success(let response):
            let text = "\(request.method) \(request.url): status \(response.status): \(response.text)"
            continuation.finish(throwing: HTTPClientError(text))
        case .failure(let error): continuation.finish(throwing: error)
        }
    }
}

/// A value that is shared by several threads.
private final class Shared<Value: Sendable>: Sendable {
    private let state: Mutex<Value?>

    init(_ value: Value? = nil) { state = Mutex(value) }

    var value: Value? { state.withLock { $0 } }

    func set(_ value: Value) { state.withLock { $0 = value } }
}
