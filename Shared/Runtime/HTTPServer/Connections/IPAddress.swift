import CMicrohttpd
import Glibc

/// An address of a machine, of either family.
///
/// An IPv4 address in an IPv6 socket counts as the IPv4 address, so that a client is the same on every socket.
public struct IPAddress: Hashable, Sendable, CustomStringConvertible {
    private let high: UInt64
    private let low: UInt64
    private let isIPv4: Bool

    /// The placeholder for a client that has no address.
    public static let none = IPAddress(high: 0, low: 0, isIPv4: true)

    private init(high: UInt64, low: UInt64, isIPv4: Bool) {
        self.high = high
        self.low = low
        self.isIPv4 = isIPv4
    }

    /// The address of a socket; nil when it is of another family.
    init?(_ address: UnsafePointer<sockaddr>?) {
        guard let address else { return nil }
        switch Int32(address.pointee.sa_family) {
        case AF_INET:
            self = address.withMemoryRebound(to: sockaddr_in.self, capacity: 1) { Self($0.pointee.sin_addr) }
        case AF_INET6:
            self = address.withMemoryRebound(to: sockaddr_in6.self, capacity: 1) { Self($0.pointee.sin6_addr) }
        default: return nil
        }
    }

    /// An address as it is written, without brackets; nil when the text is not one.
    public init?(_ text: String) {
        var four = in_addr()
        var six = in6_addr()
        if inet_pton(AF_INET, text, &four) == 1 {
            self.init(four)
        } else if inet_pton(AF_INET6, text, &six) == 1 {
            self.init(six)
        } else {
            return nil
        }
    }

    private init(_ address: in_addr) {
        self.init(high: 0, low: UInt64(UInt32(bigEndian: address.s_addr)), isIPv4: true)
    }

    private init(_ address: in6_addr) {
        let (high, low) = withUnsafeBytes(of: address) { bytes in
            (
                UInt64(bigEndian: bytes.loadUnaligned(as: UInt64.self)),
                UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
            )
        }
        let isMapped = high == 0 && low >> 32 == 0xFFFF
        self.init(high: high, low: isMapped ? low & 0xFFFF_FFFF : low, isIPv4: isMapped)
    }

    /// The unit in which connections are counted: an IPv4 address, or the /64 of a single IPv6 customer.
    public var client: IPAddress {
        isIPv4 ? self : IPAddress(high: high, low: high == 0 ? low : 0, isIPv4: false)
    }

    /// Whether it stands for all addresses of this machine.
    var isWildcard: Bool { high == 0 && low == 0 }

    /// As it is written, without brackets.
    public var description: String {
        if isIPv4 { return stride(from: 24, through: 0, by: -8).map { "\(low >> $0 & 0xFF)" }.joined(separator: ".") }
        var address = in6_addr()
        withUnsafeMutableBytes(of: &address) { bytes in
            bytes.storeBytes(of: high.bigEndian, as: UInt64.self)
            bytes.storeBytes(of: low.bigEndian, toByteOffset: 8, as: UInt64.self)
        }
        var text = [CChar](repeating: 0, count: Int(INET6_ADDRSTRLEN))
        inet_ntop(AF_INET6, &address, &text, socklen_t(text.count))
        return String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}
