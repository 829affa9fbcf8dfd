import CCurl
import Synchronization

/// One request on its way, with libcurl's handle for it.
///
/// `@unchecked`: the handle and what its callbacks write are touched only by the loop's thread; what other threads see
/// goes through the lock.
final class Transfer: @unchecked Sendable {
    private struct Outcome {
        var isCancelled = false
        var isOver = false
    }

    let request: HTTPClientRequest
    private(set) var handle: UnsafeMutableRawPointer?
    private var headerList: UnsafeMutablePointer<curl_slist>?
    private var status = 0
    private var headers: [(name: String, value: String)] = []
    private var body: [UInt8] = []
    private let maximumByteCount: Int
    private var isTooLarge = false
    private let outcome = Mutex(Outcome())
    private let onPiece: (@Sendable (Int, [UInt8]) -> Bool)?
    private let onEnd: @Sendable (Result<HTTPClientResponse, HTTPClientError>) -> Void

    /// Makes a transfer.
    ///
    /// - Parameters:
    ///   - request: what to send.
    ///   - maximumByteCount: the largest body that is kept.
    ///   - onPiece: receives the status and each piece of a successful answer's body as it arrives, instead of
    ///     buffering it; false ends the transfer.
    ///   - onEnd: called once.
    init(
        _ request: HTTPClientRequest,
        maximumByteCount: Int,
        onPiece: (@Sendable (Int, [UInt8]) -> Bool)? = nil,
        onEnd: @escaping @Sendable (Result<HTTPClientResponse, HTTPClientError>) -> Void
    ) {
        self.request = request
        self.maximumByteCount = maximumByteCount
        self.onPiece = onPiece
        self.onEnd = onEnd
    }

    deinit { release() }

    /// Asks the loop to give up; the caller wakes the loop.
    func cancel() { outcome.withLock { $0.isCancelled = true } }

    /// Whether the transfer was cancelled.
    var isCancelled: Bool { outcome.withLock { $0.isCancelled } }

    // MARK: - On the loop's thread

    /// Makes libcurl's handle; nil when libcurl rejects the request.
    func start() -> UnsafeMutableRawPointer? {
        guard let handle = curl_easy_init() else { return nil }
        self.handle = handle
        let me = Unmanaged.passUnretained(self).toOpaque()
        let milliseconds = max(1, Int((request.timeout / .milliseconds(1)).rounded()))
        userllm_curl_set_text(handle, CURLOPT_URL, request.url)
        userllm_curl_set_text(handle, CURLOPT_PROTOCOLS_STR, "http,https")
        userllm_curl_set_long(handle, CURLOPT_NOSIGNAL, 1)
        userllm_curl_set_long(handle, CURLOPT_TCP_NODELAY, 1)
        userllm_curl_set_long(handle, CURLOPT_CONNECTTIMEOUT_MS, min(milliseconds, 10_000))
        if onPiece == nil {
            userllm_curl_set_long(handle, CURLOPT_TIMEOUT_MS, milliseconds)
        } else {
            userllm_curl_set_long(handle, CURLOPT_LOW_SPEED_LIMIT, 1)
            userllm_curl_set_long(handle, CURLOPT_LOW_SPEED_TIME, max(1, milliseconds / 1_000))
        }
        userllm_curl_set_callback(handle, CURLOPT_WRITEFUNCTION, Self.onBody)
        userllm_curl_set_pointer(handle, CURLOPT_WRITEDATA, me)
        userllm_curl_set_callback(handle, CURLOPT_HEADERFUNCTION, Self.onHeader)
        userllm_curl_set_pointer(handle, CURLOPT_HEADERDATA, me)
        setMethod(handle)
        setHeaders(handle)
        return handle
    }

    private func setMethod(_ handle: UnsafeMutableRawPointer) {
        if let body = request.body {
            userllm_curl_set_long(handle, CURLOPT_POST, 1)
            userllm_curl_set_size(handle, CURLOPT_POSTFIELDSIZE_LARGE, body.count)
            // libcurl keeps a copy, so that it can resend the body when a reused connection turns out to be dead.
            body.withUnsafeBytes { bytes in
                let start = UnsafeMutableRawPointer(mutating: bytes.baseAddress)
                _ = userllm_curl_set_pointer(handle, CURLOPT_COPYPOSTFIELDS, start)
            }
        } else if request.method == "HEAD" {
            userllm_curl_set_long(handle, CURLOPT_NOBODY, 1)
        }
        userllm_curl_set_text(handle, CURLOPT_CUSTOMREQUEST, request.method)
    }

    private static let largeBodyByteCount = 1 << 20

    private func setHeaders(_ handle: UnsafeMutableRawPointer) {
        // A large body waits for "100 Continue", because a refusal would be lost when the server closes the connection
        // meanwhile. A small one is sent at once, as libcurl would wait up to a second for servers that do not answer
        // "Expect".
        let expectation = (request.body?.count ?? 0) > Self.largeBodyByteCount ? "Expect: 100-continue" : "Expect:"
        headerList = curl_slist_append(nil, expectation)
        for (name, value) in request.headers { headerList = curl_slist_append(headerList, "\(name): \(value)") }
        userllm_curl_set_pointer(handle, CURLOPT_HTTPHEADER, headerList)
    }

    /// Reports the end, once, and frees the handle.
    func end(_ result: CURLcode) {
        if isCancelled { return end(HTTPClientError("\(request.method) \(request.url) was cancelled")) }
        guard result == CURLE_OK else {
            if isTooLarge {
                return end(HTTPClientError("\(request.url): the answer is larger than \(maximumByteCount) bytes"))
            }
            let reason = String(cString: curl_easy_strerror(result))
            let broken = [CURLE_COULDNT_CONNECT, CURLE_GOT_NOTHING, CURLE_RECV_ERROR, CURLE_SEND_ERROR].contains(result)
            let text = "\(request.method) \(request.url) failed: \(reason)"
            return end(HTTPClientError(text, code: result.rawValue, isConnectionFailure: broken))
        }
        finish(.success(HTTPClientResponse(status: readStatus(), headers: headers, body: body)))
    }

    /// Ends with an error that is not libcurl's.
    func end(_ error: HTTPClientError) { finish(.failure(error)) }

    private func finish(_ result: Result<HTTPClientResponse, HTTPClientError>) {
        release()
        let isFirst = outcome.withLock { outcome in
            defer { outcome.isOver = true }
            return !outcome.isOver
        }
        if isFirst { onEnd(result) }
    }

    private func release() {
        if let handle { curl_easy_cleanup(handle) }
        curl_slist_free_all(headerList)
        handle = nil
        headerList = nil
    }

    private func readStatus() -> Int {
        guard status == 0, let handle else { return status }
        userllm_curl_status(handle, &status)
        return status
    }

    // MARK: - What libcurl calls

    private static let onBody: userllm_curl_callback = { data, size, count, me in
        guard let me, let data else { return 0 }
        let transfer = Unmanaged<Transfer>.fromOpaque(me).takeUnretainedValue()
        return transfer.receive(UnsafeRawBufferPointer(start: data, count: size * count)) ? size * count : 0
    }

    private static let onHeader: userllm_curl_callback = { data, size, count, me in
        guard let me, let data else { return 0 }
        let transfer = Unmanaged<Transfer>.fromOpaque(me).takeUnretainedValue()
        let bytes = UnsafeRawBufferPointer(start: data, count: size * count)
        transfer.receiveHeader(String(decoding: bytes, as: UTF8.self))
        return size * count
    }

    private func receive(_ piece: UnsafeRawBufferPointer) -> Bool {
        if let onPiece, (200..<300).contains(readStatus()) { return onPiece(status, Array(piece)) }
        guard body.count + piece.count <= maximumByteCount else {
            isTooLarge = true
            return false
        }
        body.append(contentsOf: piece)
        return true
    }

    private func receiveHeader(_ line: String) {
        // Each response of a chain, such as "100 Continue" followed by the final one, starts over.
        guard !line.hasPrefix("HTTP/") else {
            headers = []
            status = 0
            return
        }
        guard let colon = line.firstIndex(of: ":") else { return }
        let value = line[line.index(after: colon)...].drop(while: \.isWhitespace)
        headers.append((String(line[..<colon]), String(value.prefix { !$0.isNewline })))
    }
}
