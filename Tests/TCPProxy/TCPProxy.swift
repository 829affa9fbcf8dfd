import Foundation
import Synchronization

/// A TCP proxy on the loopback interface, for the faults of a network.
public final class TCPProxy: Sendable {
    /// Which way a piece of a connection's bytes goes.
    public enum Direction: Sendable { case toServer, toClient }

    /// Sees each piece of one connection; false breaks the connection, and the piece is lost.
    public typealias Inspector = (Direction, [UInt8]) -> Bool

    /// Where the server is; nobody need listen there yet.
    public enum Target: Sendable {
        /// On a port of the loopback interface.
        case port(UInt16)
        /// On a socket in the file system.
        case socket(path: String)
    }

    /// There is no free port, or it cannot be listened on.
    public struct Failure: Error, CustomStringConvertible {
        /// What was tried, and the system's reason.
        public let description: String
    }

    /// The port it listens on.
    public let port: UInt16
    private let target: Target
    private let listener: Int32
    private let makeInspector: @Sendable () -> Inspector
    private let isHeld = Atomic<Bool>(false)
    private let isClosed = Atomic<Bool>(false)

    /// Starts the proxy.
    ///
    /// - Parameters:
    ///   - target: where the server is.
    ///   - makeInspector: called for each connection.
    /// - Throws: `Failure` when there is no free port.
    public init(
        to target: Target,
        inspecting makeInspector: @escaping @Sendable () -> Inspector = { { _, _ in true } }
    ) throws(Failure) {
        self.target = target
        self.makeInspector = makeInspector
        listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = Self.loopback(0)
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let isBound = withUnsafeMutablePointer(to: &address) { [listener] pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(listener, $0, length) == 0 && getsockname(listener, $0, &length) == 0
            }
        }
        port = UInt16(bigEndian: address.sin_port)
        guard isBound, listen(listener, 64) == 0 else {
            Foundation.close(listener)
            throw Failure(description: "a proxy to \(target) finds no port: \(String(cString: strerror(errno)))")
        }
        Thread { [self] in accept() }.start()
    }

    /// Lets nothing through, either way, until `release`; nobody is told, and nothing is closed.
    public func hold() { isHeld.store(true, ordering: .releasing) }

    /// Lets through what was held, and what follows.
    public func release() { isHeld.store(false, ordering: .releasing) }

    /// Takes no more connections; those that are open go on until one side closes them.
    public func close() {
        // Once: the descriptor's number is soon another's.
        guard !isClosed.exchange(true, ordering: .acquiringAndReleasing) else { return }
        shutdown(listener, Int32(SHUT_RDWR))
    }

    private static func loopback(_ port: UInt16) -> sockaddr_in {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        return address
    }

    private func accept() {
        while true {
            let client = Foundation.accept(listener, nil, nil)
            guard client >= 0 else { break }
            Thread { [self] in serve(client) }.start()
        }
        Foundation.close(listener)
    }

    private func serve(_ client: Int32) {
        defer { Foundation.close(client) }
        waitUntilReleased()
        guard let server = connection() else { return }
        defer { Foundation.close(server) }
        // Small requests would wait for the other side's acknowledgement.
        var yes: Int32 = 1
        for end in [client, server] {
            setsockopt(end, Int32(IPPROTO_TCP), TCP_NODELAY, &yes, socklen_t(MemoryLayout<Int32>.size))
        }
        forward(client, server)
    }

    /// A connection to the server; nil when nobody listens there.
    private func connection() -> Int32? {
        let server: Int32
        let isConnected: Bool
        switch target {
        case .port(let port):
            server = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
            var address = Self.loopback(port)
            isConnected = withUnsafePointer(to: &address) { pointer in
                pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    connect(server, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
                }
            }
        case .socket(let path):
            server = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
            var address = sockaddr_un()
            address.sun_family = sa_family_t(AF_UNIX)
            precondition(path.utf8.count < MemoryLayout.size(ofValue: address.sun_path), "\(path) is too long")
            withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
            isConnected = withUnsafePointer(to: &address) { pointer in
                pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    connect(server, $0, socklen_t(MemoryLayout<sockaddr_un>.size)) == 0
                }
            }
        }
        if isConnected { return server }
        Foundation.close(server)
        return nil
    }

    /// Passes bytes both ways until one side closes, or the inspector breaks the connection.
    private func forward(_ client: Int32, _ server: Int32) {
        let inspect = makeInspector()
        var sockets = [client, server].map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
        while poll(&sockets, 2, -1) > 0 {
            for (from, direction) in [(0, Direction.toServer), (1, .toClient)] where sockets[from].revents != 0 {
                waitUntilReleased()
                guard let bytes = Self.receive(sockets[from].fd), inspect(direction, bytes) else { return }
                waitUntilReleased()
                guard Self.send(bytes, to: sockets[1 - from].fd) else { return }
            }
        }
    }

    private func waitUntilReleased() {
        while isHeld.load(ordering: .acquiring) { Thread.sleep(forTimeInterval: 0.01) }
    }

    private static func receive(_ socket: Int32) -> [UInt8]? {
        let bytes = [UInt8](unsafeUninitializedCapacity: 65_536) { buffer, count in
            count = max(0, recv(socket, buffer.baseAddress, buffer.count, 0))
        }
        return bytes.isEmpty ? nil : bytes
    }

    private static func send(_ bytes: [UInt8], to socket: Int32) -> Bool {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes {
                Foundation.send(socket, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
            }
            guard count > 0 else { return false }
            rest = rest.dropFirst(count)
        }
        return true
    }
}
