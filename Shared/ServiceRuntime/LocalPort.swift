import Foundation
import Glibc

/// Ports of this machine, asked about before a process that wants one is started.
public enum LocalPort {
    /// Whether a process could listen on this port of this address (`127.0.0.1`, `0.0.0.0`).
    public static func isFree(_ port: Int, host: String = "127.0.0.1") -> Bool {
        guard let descriptor = makeSocket() else { return false }
        defer { Glibc.close(descriptor) }
        // A listener of the past that waits in TIME_WAIT does not count.
        var yes: Int32 = 1
        setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &yes, socklen_t(MemoryLayout<Int32>.size))
        return withAddress(port, host: host) { bind(descriptor, $0, $1) } == 0 && listen(descriptor, 1) == 0
    }

    /// A port that is free now, and the next `count - 1` with it.
    ///
    /// It lies below the range that the kernel takes ports of outgoing connections from: one of those could otherwise
    /// have it by the time the process it was chosen for listens.
    /// - Throws: `ProcessFailure` when none is found.
    public static func free(host: String = "127.0.0.1", count: Int = 1) throws(ProcessFailure) -> Int {
        for _ in 0..<1_000 {
            let port = Int.random(in: candidates)
            if (port..<port + count).allSatisfy({ isFree($0, host: host) }) { return port }
        }
        throw ProcessFailure("no port of \(host) is free", exitCode: .unavailable)
    }

    private static let candidates: Range<Int> = {
        let range = try? String(contentsOfFile: "/proc/sys/net/ipv4/ip_local_port_range", encoding: .utf8)
        let first = range?.split(whereSeparator: \.isWhitespace).first.flatMap { Int($0) } ?? 32_768
        return first > 12_000 ? 10_000..<first - 16 : 10_000..<65_000
    }()

    /// Whether somebody listens on this port of the loopback address.
    public static func answers(_ port: Int) -> Bool {
        guard let descriptor = makeSocket() else { return false }
        defer { Glibc.close(descriptor) }
        return withAddress(port, host: "127.0.0.1") { connect(descriptor, $0, $1) } == 0
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
