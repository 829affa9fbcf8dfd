import Glibc

/// A TCP port that is taken from the moment it is chosen, for a process that is started later.
///
/// The port is bound here and not listened on. Meanwhile the kernel gives it to nobody who asks for an arbitrary port,
/// neither for listening nor for a connection. But a process that names it, and binds it with `SO_REUSEADDR` as servers
/// do, can listen on it: now, and again after it died. Without that, a port that is chosen first and opened later may
/// be in use by then.
///
/// A caller that runs a process only once and can wait for its report needs no claim: services accept port 0 and write
/// the port they got into the file that `--port-file` and `--admin-port-file` name.
public final class PortClaim: Sendable {
    /// The port.
    public let port: Int
    private let descriptor: Int32

    /// Claims a port.
    ///
    /// - Parameters:
    ///   - port: the port; 0 is any that is free.
    ///   - host: the address on which will be listened, such as `127.0.0.1` or `0.0.0.0`.
    /// - Throws: `ProcessFailure` when somebody listens there, or the host is no address of this machine.
    public init(_ port: Int = 0, host: String = "127.0.0.1") throws(ProcessFailure) {
        var hints = addrinfo()
        hints.ai_family = AF_UNSPEC
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV
        var list: UnsafeMutablePointer<addrinfo>?
        let found = getaddrinfo(host, String(port), &hints, &list)
        guard found == 0, let address = list?.pointee else {
            throw ProcessFailure(
                "\(host) is not an address of this machine: \(String(cString: gai_strerror(found)))",
                exitCode: .configuration
            )
        }
        defer { freeaddrinfo(list) }
        let descriptor = socket(address.ai_family, address.ai_socktype | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { throw Self.failure(port, host, errno) }
        var on: Int32 = 1
        setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &on, socklen_t(MemoryLayout<Int32>.size))
        guard bind(descriptor, address.ai_addr, address.ai_addrlen) == 0 else {
            let reason = errno
            Glibc.close(descriptor)
            throw Self.failure(port, host, reason)
        }
        self.descriptor = descriptor
        self.port = Self.port(of: descriptor)
    }

    deinit { Glibc.close(descriptor) }

    private static func failure(_ port: Int, _ host: String, _ reason: Int32) -> ProcessFailure {
        let what = port == 0 ? "no port of \(host) is to be had" : "port \(port) of \(host) cannot be used"
        let why = reason == EADDRINUSE ? "another process has it" : String(cString: strerror(reason))
        return ProcessFailure("\(what): \(why)", exitCode: .unavailable)
    }

    private static func port(of descriptor: Int32) -> Int {
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
