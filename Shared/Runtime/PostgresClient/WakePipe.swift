import Foundation

/// Wakes a thread that waits in `poll`.
///
/// The two descriptors never change, and `read` and `write` may be called on them from any thread.
package final class WakePipe: @unchecked Sendable {
    private let reader: Int32
    private let writer: Int32

    /// Makes a pipe; nil when the process has no file descriptors left.
    package init?() {
        var descriptors: [Int32] = [0, 0]
        guard pipe(&descriptors) == 0 else { return nil }
        (reader, writer) = (descriptors[0], descriptors[1])
        for descriptor in descriptors {
            _ = fcntl(descriptor, F_SETFL, O_NONBLOCK)
            _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
        }
    }

    deinit {
        _ = Foundation.close(reader)
        _ = Foundation.close(writer)
    }

    /// Wakes the waiter, now or when it waits next.
    package func wake() {
        // A full pipe wakes just as well.
        _ = [UInt8(1)].withUnsafeBytes { write(writer, $0.baseAddress, 1) }
    }

    /// Waits for a socket, a wake-up or the end of the time.
    ///
    /// - Returns: whether the socket is ready, and whether there was a wake-up.
    package func wait(socket: Int32?, events: Int32, milliseconds: Int32) -> (isReady: Bool, isWoken: Bool) {
        var descriptors = [
            pollfd(fd: socket ?? -1, events: Int16(events), revents: 0),
            pollfd(fd: reader, events: Int16(POLLIN), revents: 0),
        ]
        // An interrupted wait looks like a timeout; every caller checks its clock and waits again.
        guard poll(&descriptors, 2, milliseconds) > 0 else { return (false, false) }
        let isWoken = descriptors[1].revents != 0
        if isWoken { drain() }
        return (descriptors[0].revents != 0, isWoken)
    }

    private func drain() {
        var buffer = [UInt8](repeating: 0, count: 64)
        while read(reader, &buffer, buffer.count) == buffer.count {}
    }
}
