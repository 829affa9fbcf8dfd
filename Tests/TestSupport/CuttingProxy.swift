import Foundation
import Synchronization

/// A TCP proxy that breaks a connection at the worst moment: after the server has answered, before the client hears it.
///
/// The first request that has the marker in it is passed on whole, the answer to it is dropped, and both sides of that
/// connection are closed. Everything else passes.
public final class CuttingProxy: Sendable {
    /// The port it listens on, on the loopback interface.
    public let port: UInt16
    private let listener: Int32
    private let target: UInt16
    private let marker: Mutex<[UInt8]?>
    private let cuts = Atomic<Int>(0)

    /// How many connections were cut.
    public var cutCount: Int { cuts.load(ordering: .acquiring) }

    /// Starts the proxy.
    ///
    /// - Parameters:
    ///   - target: the server's port on the loopback interface.
    ///   - marker: bytes that only the request has whose answer is to be lost.
    /// - Throws: `LogConformance.Failure` when there is no free port.
    public init(to target: UInt16, cuttingAfter marker: String) throws {
        self.target = target
        self.marker = Mutex(Array(marker.utf8))
        let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        self.listener = listener
        var address = Self.loopback(0)
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let isListening = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(listener, $0, length) == 0 && getsockname(listener, $0, &length) == 0
            }
        }
        guard isListening, listen(listener, 16) == 0 else {
            throw LogConformance.Failure("no free port for the proxy")
        }
        port = UInt16(bigEndian: address.sin_port)
        Thread { [self] in accept() }.start()
    }

    /// Takes no more connections; those that are open go on until one side closes them.
    public func close() { shutdown(listener, Int32(SHUT_RDWR)) }

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
            let server = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
            var address = Self.loopback(target)
            let isConnected = withUnsafePointer(to: &address) { pointer in
                pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    connect(server, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
                }
            }
            guard isConnected else {
                Foundation.close(client)
                Foundation.close(server)
                continue
            }
            Thread { [self] in forward(client, server) }.start()
        }
        Foundation.close(listener)
    }

    /// Passes bytes both ways until one side closes, or the answer comes that is to be lost.
    private func forward(_ client: Int32, _ server: Int32) {
        defer {
            Foundation.close(client)
            Foundation.close(server)
        }
        var isCutting = false
        // The end of the piece before, where a marker may begin.
        var tail: [UInt8] = []
        var sockets = [client, server].map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
        while poll(&sockets, 2, -1) > 0 {
            if sockets[0].revents != 0 {
                guard let bytes = Self.receive(client), Self.send(bytes, to: server) else { return }
                isCutting = isCutting || takeMarker(tail + bytes)
                tail = Array((tail + bytes).suffix(64))
            }
            if sockets[1].revents != 0 {
                guard let bytes = Self.receive(server) else { return }
                if isCutting {
                    cuts.add(1, ordering: .releasing)
                    return
                }
                guard Self.send(bytes, to: client) else { return }
            }
        }
    }

    private func takeMarker(_ bytes: [UInt8]) -> Bool {
        marker.withLock { marker in
            guard let wanted = marker, bytes.firstRange(of: wanted) != nil else { return false }
            marker = nil
            return true
        }
    }

    private static func receive(_ socket: Int32) -> [UInt8]? {
        var buffer = [UInt8](repeating: 0, count: 65_536)
        let count = recv(socket, &buffer, buffer.count, 0)
        return count > 0 ? Array(buffer.prefix(count)) : nil
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
