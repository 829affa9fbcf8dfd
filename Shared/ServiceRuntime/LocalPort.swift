import Glibc

/// Ports of this machine, asked about before a process that wants one is started.
public enum LocalPort {
    /// Whether a process could listen on this port of this address (`127.0.0.1`, `0.0.0.0`).
    public static func isFree(_ port: Int, host: String = "127.0.0.1") -> Bool {
        bound(port, host: host) != nil
    }

    /// A port that is free now.
    ///
    /// - Throws: `ProcessFailure` when the kernel has none.
    public static func free(host: String = "127.0.0.1") throws(ProcessFailure) -> Int {
        guard let port = bound(0, host: host) else {
            throw ProcessFailure("no port of \(host) is free", exitCode: .unavailable)
        }
        return port
    }

    /// Whether somebody listens on this port of the loopback address.
    public static func answers(_ port: Int) -> Bool {
        guard let descriptor = makeSocket() else { return false }
        defer { Glibc.close(descriptor) }
        return withAddress(port, host: "127.0.0.1") { connect(descriptor, $0, $1) } == 0
    }

    /// Binds and lets go at once; a listener of the past that waits in TIME_WAIT does not count.
    private static func bound(_ port: Int, host: String) -> Int? {
        guard let descriptor = makeSocket() else { return nil }
        defer { Glibc.close(descriptor) }
        var yes: Int32 = 1
        setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &yes, socklen_t(MemoryLayout<Int32>.size))
        guard withAddress(port, host: host, { bind(descriptor, $0, $1) }) == 0, listen(descriptor, 1) == 0 else {
            return nil
        }
        var address = sockaddr_in()
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let found = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(descriptor, $0, &size) }
        }
        return found == 0 ? Int(UInt16(bigEndian: address.sin_port)) : nil
    }

    private static func makeSocket() -> Int32? {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        return descriptor >= 0 ? descriptor : nil
    }

    private static func withAddress(
        _ port: Int,
        host: String,
        _ body: (UnsafePointer<sockaddr>, socklen_t) -> Int32
    ) -> Int32 {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = in_port_t(UInt16(clamping: port)).bigEndian
        guard inet_pton(AF_INET, host == "localhost" ? "127.0.0.1" : host, &address.sin_addr) == 1 else { return -1 }
        return withUnsafePointer(to: address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                body($0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
    }
}
