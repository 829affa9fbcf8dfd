import Glibc

/// A TCP socket that has an address of this machine, and does not listen yet.
///
/// Our own code, so that a port in use is reported as such. The descriptor is the caller's to close.
package struct BoundSocket {
    /// Why there is no such socket.
    package enum Failure: Error {
        /// The host is not an address of this machine.
        case unknownHost(String)
        /// There is no descriptor left.
        case noDescriptor(Int32)
        /// The address cannot be used.
        case notBound(Int32)
    }

    /// The socket's descriptor.
    package let descriptor: Int32

    /// Opens it.
    ///
    /// - Parameters:
    ///   - host: the address, such as `127.0.0.1` or `0.0.0.0`.
    ///   - port: the port; 0 is any that is free.
    /// - Throws: `Failure`.
    package init(host: String, port: Int) throws(Failure) {
        var hints = addrinfo()
        hints.ai_family = AF_UNSPEC
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV
        var list: UnsafeMutablePointer<addrinfo>?
        let found = getaddrinfo(host, String(port), &hints, &list)
        guard found == 0, let address = list?.pointee else {
            throw .unknownHost(String(cString: gai_strerror(found)))
        }
        defer { freeaddrinfo(list) }
        let descriptor = socket(address.ai_family, address.ai_socktype | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { throw .noDescriptor(errno) }
        var on: Int32 = 1
        setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &on, socklen_t(MemoryLayout<Int32>.size))
        guard bind(descriptor, address.ai_addr, address.ai_addrlen) == 0 else {
            let reason = errno
            Glibc.close(descriptor)
            throw .notBound(reason)
        }
        self.descriptor = descriptor
    }

    /// The port, which is the kernel's choice where none was asked for.
    package var port: Int {
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
