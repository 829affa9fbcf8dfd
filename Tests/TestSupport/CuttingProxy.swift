import Synchronization
import TCPProxy

/// A proxy that breaks a connection at the worst moment: after the server has answered, before the client hears it.
///
/// The first request that has the marker in it is passed on whole, the answer to it is dropped, and both sides of that
/// connection are closed. Everything else passes.
public final class CuttingProxy: Sendable {
    private final class State: Sendable {
        let marker: Mutex<[UInt8]?>
        let cuts = Atomic<Int>(0)

        init(marker: String) { self.marker = Mutex(Array(marker.utf8)) }

        func takeMarker(_ bytes: [UInt8]) -> Bool {
            marker.withLock { marker in
                guard let wanted = marker, bytes.firstRange(of: wanted) != nil else { return false }
                marker = nil
                return true
            }
        }

        func makeInspector() -> TCPProxy.Inspector {
            var isCutting = false
            // The end of the piece before, where a marker may begin.
            var tail: [UInt8] = []
            return { [self] direction, bytes in
                switch direction {
                case .toServer:
                    isCutting = isCutting || takeMarker(tail + bytes)
                    tail = Array((tail + bytes).suffix(64))
                case .toClient where isCutting:
                    cuts.add(1, ordering: .releasing)
                    return false
                case .toClient: break
                }
                return true
            }
        }
    }

    private let state: State
    private let proxy: TCPProxy

    /// The port it listens on, on the loopback interface.
    public var port: UInt16 { proxy.port }
    /// How many connections were cut.
    public var cutCount: Int { state.cuts.load(ordering: .acquiring) }

    /// Starts the proxy.
    ///
    /// - Parameters:
    ///   - path: the server's socket.
    ///   - marker: bytes that only the request has whose answer is to be lost.
    /// - Throws: `TCPProxy.Failure` when there is no free port.
    public init(toSocket path: String, cuttingAfter marker: String) throws {
        let state = State(marker: marker)
        self.state = state
        proxy = try TCPProxy(to: .socket(path: path)) { state.makeInspector() }
    }

    /// Takes no more connections; those that are open go on until one side closes them.
    public func close() { proxy.close() }
}
