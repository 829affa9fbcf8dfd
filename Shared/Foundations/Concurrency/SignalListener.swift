import Dispatch
import Glibc
import Synchronization

/// Handles signals of the operating system that would otherwise end the process.
///
/// One per process. A C handler writes the signal's number into a pipe that Dispatch reads: Dispatch's own signal
/// sources miss signals that are ignored, and an ignored signal would stay ignored in programs that this one starts.
///
/// `@unchecked`: a Dispatch source may be used from any thread, but its Swift type does not say so.
public final class SignalListener: @unchecked Sendable {
    private static let writeEnd = Atomic<Int32>(-1)
    private let source: any DispatchSourceRead
    /// The earlier handlers of the signals, which are restored afterwards.
    private let earlier: [(number: Int32, handler: __sighandler_t?)]

    /// Starts to listen.
    ///
    /// - Parameters:
    ///   - signals: numbers such as `SIGTERM`.
    ///   - onSignal: called once for each signal, on a thread of Dispatch.
    public init(_ signals: [Int32], onSignal: @escaping @Sendable (Int32) -> Void) {
        var ends: [Int32] = [-1, -1]
        let made = pipe(&ends)
        precondition(made == 0, "no pipe for signals: errno \(errno)")
        for end in ends {
            _ = fcntl(end, F_SETFD, FD_CLOEXEC)
            _ = fcntl(end, F_SETFL, O_NONBLOCK)
        }
        let readEnd = ends[0]
        Self.writeEnd.store(ends[1], ordering: .sequentiallyConsistent)

        source = DispatchSource.makeReadSource(fileDescriptor: readEnd, queue: DispatchQueue(label: "signals"))
        source.setEventHandler {
            var number: UInt8 = 0
            while read(readEnd, &number, 1) == 1 { onSignal(Int32(number)) }
        }
        source.setCancelHandler { Glibc.close(readEnd) }
        source.activate()
        earlier = signals.map { number in
            let handler = signal(number) { number in
                let saved = errno
                var byte = UInt8(truncatingIfNeeded: number)
                _ = write(SignalListener.writeEnd.load(ordering: .sequentiallyConsistent), &byte, 1)
                errno = saved
            }
            return (number, handler)
        }
    }

    deinit {
        for (number, handler) in earlier { signal(number, handler) }
        Glibc.close(Self.writeEnd.exchange(-1, ordering: .sequentiallyConsistent))
        source.cancel()
    }
}
