import CMicrohttpd
import Glibc

/// Why a server could not start.
public struct HTTPServerError: Error, Sendable, CustomStringConvertible {
    /// What failed, on what, and why.
    public let description: String
    /// Whether somebody else has the port.
    public let isPortTaken: Bool

    init(_ description: String, isPortTaken: Bool = false) {
        self.description = description
        self.isPortTaken = isPortTaken
    }
}

/// Opens the socket on which a server listens; our own code, so that a port in use is reported as such.
enum ListeningSocket {
    /// Opens it.
    ///
    /// - Returns: the descriptor, which the caller owns, and the port, which is the kernel's choice for port 0.
    static func open(host: String, port: Int) throws(HTTPServerError) -> (descriptor: Int32, port: Int) {
        var hints = addrinfo()
        hints.ai_family = AF_UNSPEC
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV
        var list: UnsafeMutablePointer<addrinfo>?
        let found = getaddrinfo(host, String(port), &hints, &list)
        guard found == 0, let address = list?.pointee else {
            throw HTTPServerError(
                "the host \(host) is not an address of this machine: \(String(cString: gai_strerror(found)))"
            )
        }
        defer { freeaddrinfo(list) }

        let descriptor = socket(address.ai_family, address.ai_socktype | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { throw HTTPServerError("no socket: \(reason())") }
        var on: Int32 = 1
        setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &on, socklen_t(MemoryLayout<Int32>.size))
        guard bind(descriptor, address.ai_addr, address.ai_addrlen) == 0, listen(descriptor, 1_024) == 0,
            fcntl(descriptor, F_SETFL, O_NONBLOCK) == 0
        else {
            let isPortTaken = errno == EADDRINUSE
            let reason = isPortTaken ? "another process has this port" : reason()
            close(descriptor)
            throw HTTPServerError("cannot listen on \(host) port \(port): \(reason)", isPortTaken: isPortTaken)
        }
        return (descriptor, boundPort(of: descriptor))
    }

    private static func reason() -> String { String(cString: strerror(errno)) }

    private static func boundPort(of descriptor: Int32) -> Int {
        var storage = sockaddr_storage()
        var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
        return withUnsafeMutablePointer(to: &storage) { storage in
            storage.withMemoryRebound(to: sockaddr.self, capacity: 1) { _ = getsockname(descriptor, $0, &length) }
            // The port has the same offset in both address families.
            return storage.withMemoryRebound(to: sockaddr_in.self, capacity: 1) {
                Int(UInt16(bigEndian: $0.pointee.sin_port))
            }
        }
    }
}
