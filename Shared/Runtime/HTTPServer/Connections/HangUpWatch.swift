import CMicrohttpd
import Concurrency
import Glibc

/// Detects when a client closes its connection, even while the library does not watch it.
///
/// The library removes a suspended connection from its own epoll set, so a client that goes while its request is being
/// handled would be noticed only when the answer is written. Each connection is added to a set of ours when it begins,
/// for its end alone, which costs a request nothing. The set is itself a descriptor that is listened to, so no thread
/// waits.
///
/// A client that shuts down only its sending side looks like one that has gone, and is treated as such, as in nginx.
final class HangUpWatch: Sendable {
    private let set: Int32
    private let listener: DescriptorListener

    /// Begins to watch.
    ///
    /// - Parameter onHangUp: called with the connection's word, on another thread than the library's.
    /// - Throws: `HTTPServerError` when there is no descriptor left.
    init(onHangUp: @escaping @Sendable (UInt64) -> Void) throws(HTTPServerError) {
        let set = epoll_create1(Int32(EPOLL_CLOEXEC))
        guard set >= 0 else {
            throw HTTPServerError("connections cannot be watched: \(String(cString: strerror(errno)))")
        }
        self.set = set
        listener = DescriptorListener(set, label: "http-hang-ups") { set in
            var events = [epoll_event](repeating: epoll_event(), count: 64)
            while true {
                let count = epoll_wait(set, &events, Int32(events.count), 0)
                guard count > 0 else { return }
                for event in events.prefix(Int(count)) { onHangUp(event.data.u64) }
            }
        }
    }

    /// Watches a connection until it is closed.
    func add(_ descriptor: Int32, word: UInt64) {
        var event = epoll_event()
        // Edge-triggered: a client that has gone does not come back.
        event.events = EPOLLRDHUP.rawValue | EPOLLET.rawValue
        event.data.u64 = word
        epoll_ctl(set, EPOLL_CTL_ADD, descriptor, &event)
    }

    /// Ends the watch of a connection that is about to be closed.
    func remove(_ descriptor: Int32) {
        epoll_ctl(set, EPOLL_CTL_DEL, descriptor, nil)
    }

    /// Watches nothing any more.
    func close() {
        listener.close()
    }
}
