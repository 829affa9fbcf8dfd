import CCurl
import Foundation
import Synchronization

/// The thread that moves the bytes of all transfers of a client.
///
/// `@unchecked`: libcurl's multi handle is used by its thread alone, but for `curl_multi_wakeup`, which its manual
/// allows from any thread.
final class TransferLoop: @unchecked Sendable {
    private struct State {
        var waiting: [Transfer] = []
        var isClosed = false
    }

    private let state = Mutex(State())
    private let multi: UnsafeMutableRawPointer?
    /// By libcurl's handle; used on the thread only.
    private var running: [UnsafeMutableRawPointer: Transfer] = [:]

    /// Makes the loop and starts its thread, which ends after `close`.
    static func start(maximumConnectionCount: Int) -> TransferLoop {
        let loop = TransferLoop(maximumConnectionCount: maximumConnectionCount)
        let thread = Thread { loop.run() }
        thread.name = "http-client"
        thread.start()
        return loop
    }

    private init(maximumConnectionCount: Int) {
        curl_global_init(Int(CURL_GLOBAL_DEFAULT))
        multi = curl_multi_init()
        if let multi {
            userllm_curl_multi_set_long(multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, maximumConnectionCount)
            userllm_curl_multi_set_long(multi, CURLMOPT_MAXCONNECTS, maximumConnectionCount)
        }
    }

    deinit {
        if let multi { curl_multi_cleanup(multi) }
    }

    /// Hands a transfer to the thread.
    func add(_ transfer: Transfer) {
        let isClosed = state.withLock { state in
            if !state.isClosed { state.waiting.append(transfer) }
            return state.isClosed
        }
        if isClosed { transfer.end(HTTPClientError("the client was closed")) } else { wake() }
    }

    /// Makes the thread check for new or cancelled transfers.
    func wake() {
        if let multi { curl_multi_wakeup(multi) }
    }

    /// Ends all transfers and the thread.
    func close() {
        state.withLock { $0.isClosed = true }
        wake()
    }

    // MARK: - On the thread

    private func run() {
        guard let multi else { return endAll(HTTPClientError("libcurl could not be started")) }
        while true {
            let (new, isClosed) = state.withLock { state in
                defer { state.waiting = [] }
                return (state.waiting, state.isClosed)
            }
            for transfer in new { begin(transfer, multi) }
            if isClosed { return endAll(HTTPClientError("the client was closed")) }
            var count: Int32 = 0
            curl_multi_perform(multi, &count)
            collect(multi)
            curl_multi_poll(multi, nil, 0, 1_000, nil)
        }
    }

    private func begin(_ transfer: Transfer, _ multi: UnsafeMutableRawPointer) {
        guard let handle = transfer.start() else {
            return transfer.end(HTTPClientError("libcurl could not start \(transfer.request.url)"))
        }
        running[handle] = transfer
        curl_multi_add_handle(multi, handle)
    }

    private func collect(_ multi: UnsafeMutableRawPointer) {
        var left: Int32 = 0
        while let message = curl_multi_info_read(multi, &left) {
            guard message.pointee.msg == CURLMSG_DONE, let handle = message.pointee.easy_handle else { continue }
            let result = userllm_curl_message_result(message)
            remove(handle, multi)?.end(result)
        }
        for (handle, transfer) in running where transfer.isCancelled {
            remove(handle, multi)?.end(CURLE_ABORTED_BY_CALLBACK)
        }
    }

    private func remove(_ handle: UnsafeMutableRawPointer, _ multi: UnsafeMutableRawPointer) -> Transfer? {
        curl_multi_remove_handle(multi, handle)
        return running.removeValue(forKey: handle)
    }

    private func endAll(_ error: HTTPClientError) {
        let waiting = state.withLock { state in
            state.isClosed = true
            defer { state.waiting = [] }
            return state.waiting
        }
        for transfer in waiting { transfer.end(error) }
        guard let multi else { return }
        for handle in Array(running.keys) { remove(handle, multi)?.end(error) }
    }
}
