import Foundation
import Glibc

/// Takes connections and never says anything.
public final class SilentServer {
    /// Where it listens, on 127.0.0.1.
    public let port: UInt16
    private let listener: Int32
    private var connections: [Int32] = []

    /// Begins to listen.
    public init() throws {
        let kind = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_NONBLOCK.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
        let listener = socket(AF_INET, kind, 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(INADDR_LOOPBACK).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let isListening = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(listener, $0, length) == 0 && getsockname(listener, $0, &length) == 0
            }
        }
        guard isListening, listen(listener, 4) == 0 else { throw POSIXError(POSIXErrorCode(rawValue: errno) ?? .EIO) }
        self.listener = listener
        port = UInt16(bigEndian: address.sin_port)
    }

    deinit { for descriptor in connections + [listener] { close(descriptor) } }

    /// Whether somebody has connected since the last question.
    public func takesConnection() -> Bool {
        let descriptor = accept(listener, nil, nil)
        if descriptor >= 0 { connections.append(descriptor) }
        return descriptor >= 0
    }
}
