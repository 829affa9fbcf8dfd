/// The names and addresses under which a server may be addressed, and the origins of pages that may call it.
///
/// A browser sends what any page tells it to. A page of another site is recognized by its `Origin` or `Sec-Fetch-Site`;
/// one whose own name was pointed at this machine (DNS rebinding), by its `Host`. Programs send no `Origin` and are let
/// through.
public struct AllowedHosts: Sendable {
    /// In lower case, without brackets.
    private let local: [[UInt8]]
    private let added: [[UInt8]]
    private let allowsAny: Bool
    private let isWildcard: Bool

    /// Makes the list for a server.
    ///
    /// - Parameters:
    ///   - host: what the server listens on; the addresses that a wildcard stands for are allowed too.
    ///   - added: further names and addresses; `*` allows any `Host`.
    public init(listeningOn host: String, added: [String] = []) {
        let bare = Self.bare(host)
        isWildcard = bare.isEmpty || IPAddress(host)?.isWildcard == true
        local = [Array("127.0.0.1".utf8), Array("localhost".utf8), Array("::1".utf8)] + (isWildcard ? [] : [bare])
        allowsAny = added.contains("*")
        self.added = added.filter { $0 != "*" }.map(Self.bare)
    }

    /// Whether a text may stand in the list: a name or an address, without scheme and port, or `*`.
    public static func isValid(_ name: String) -> Bool {
        if name == "*" { return true }
        let bare = bare(name)
        guard !bare.isEmpty, bare.count <= 255 else { return false }
        if bare.contains(UInt8(ascii: ":")) { return IPAddress(String(decoding: bare, as: UTF8.self)) != nil }
        return bare.allSatisfy(isNameByte)
    }

    private static func isNameByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"): true
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"): true
        default: byte >= 0x80
        }
    }

    private static func bare(_ name: String) -> [UInt8] {
        var name = name.lowercased()[...]
        if name.hasPrefix("["), name.hasSuffix("]") { name = name.dropFirst().dropLast() }
        return Array(name.utf8)
    }

    // MARK: - Requests

    /// Checks the target and origin that a request states.
    ///
    /// - Parameters:
    ///   - host: the value of `Host`; nil when there is none.
    ///   - origin: the value of `Origin`; nil when there is none.
    ///   - fetchSite: the value of `Sec-Fetch-Site`; nil when there is none.
    ///   - ownAddress: the address that the client connected to; evaluated only when nothing else allows the host.
    /// - Returns: nil when the request may be answered.
    func refusal(
        host: UnsafeRawBufferPointer?,
        origin: UnsafeRawBufferPointer?,
        fetchSite: UnsafeRawBufferPointer?,
        ownAddress: () -> IPAddress?
    ) -> RequestRefusal? {
        if let host {
            guard let name = Self.name(in: host[...]) else {
                return .framing(
                    "the Host header \(Self.shown(host)) is not a name or address, with or without a port",
                    field: "Host"
                )
            }
            guard allowsAny || isLocal(name) || isAdded(name) || isOwn(name, ownAddress) else {
                return RequestRefusal(
                    403,
                    "the host \(Self.shown(host)) is not one of this server's: add its name to allowed-hosts if it is",
                    field: "Host"
                )
            }
        }
        if let origin {
            return allows(origin: origin, host: host)
                ? nil
                : RequestRefusal(
                    403,
                    "a page of \(Self.shown(origin)) may not ask this server: add its host to allowed-hosts if it may",
                    field: "Origin"
                )
        }
        if let fetchSite, Self.equal(fetchSite[...], Array("cross-site".utf8)) {
            return RequestRefusal(403, "a page of another site may not ask this server", field: "Sec-Fetch-Site")
        }
        return nil
    }

    private func isLocal(_ name: Slice<UnsafeRawBufferPointer>) -> Bool {
        local.contains { Self.equal(name, $0) }
    }

    private func isAdded(_ name: Slice<UnsafeRawBufferPointer>) -> Bool {
        added.contains { Self.equal(name, $0) }
    }

    /// A page can be made to send any name, but an address only if it actually requested that address.
    private func isOwn(_ name: Slice<UnsafeRawBufferPointer>, _ ownAddress: () -> IPAddress?) -> Bool {
        guard let address = IPAddress(String(decoding: name, as: UTF8.self)) else { return false }
        // Another notation for an address of the list.
        let listed = (local + added).contains { IPAddress(String(decoding: $0, as: UTF8.self)) == address }
        return listed || (isWildcard && ownAddress() == address)
    }

    /// A page of this server's own, or of a host that was added.
    private func allows(origin: UnsafeRawBufferPointer, host: UnsafeRawBufferPointer?) -> Bool {
        guard let scheme = Self.schemes.first(where: { origin.starts(with: $0.prefix) }) else { return false }
        let place = origin[scheme.prefix.count...]
        guard let name = Self.name(in: place) else { return false }
        if isAdded(name) { return true }
        guard let host else { return false }
        return Self.equal(
            Self.withoutPort(scheme.port, place),
            Array(Self.withoutPort(scheme.port, host[...])).map(Self.lowercased)
        )
    }

    private static let schemes = [
        (prefix: Array("http://".utf8), port: Array(":80".utf8)),
        (prefix: Array("https://".utf8), port: Array(":443".utf8)),
    ]

    // MARK: - Bytes

    /// The name before the port, without brackets and without the trailing dot of a full name; nil when it is not a
    /// name.
    private static func name(in place: Slice<UnsafeRawBufferPointer>) -> Slice<UnsafeRawBufferPointer>? {
        var name: Slice<UnsafeRawBufferPointer>
        let rest: Slice<UnsafeRawBufferPointer>
        if place.first == UInt8(ascii: "[") {
            guard let end = place.firstIndex(of: UInt8(ascii: "]")) else { return nil }
            name = place[(place.startIndex + 1)..<end]
            rest = place[(end + 1)...]
            guard name.allSatisfy({ $0 == UInt8(ascii: ":") || isNameByte($0) }) else { return nil }
        } else {
            let end = place.firstIndex(of: UInt8(ascii: ":")) ?? place.endIndex
            name = place[..<end]
            rest = place[end...]
            guard name.allSatisfy(isNameByte) else { return nil }
            if name.last == UInt8(ascii: ".") { name = name.dropLast() }
        }
        guard !name.isEmpty, rest.isEmpty || rest.first == UInt8(ascii: ":"), rest.count <= 6,
            rest.dropFirst().allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) })
        else { return nil }
        return name
    }

    private static func withoutPort(
        _ port: [UInt8],
        _ place: Slice<UnsafeRawBufferPointer>
    ) -> Slice<UnsafeRawBufferPointer> {
        place.count > port.count && place.suffix(port.count).elementsEqual(port) ? place.dropLast(port.count) : place
    }

    /// Compares without case; `lower` is in lower case.
    private static func equal(_ bytes: Slice<UnsafeRawBufferPointer>, _ lower: [UInt8]) -> Bool {
        bytes.count == lower.count && zip(bytes, lower).allSatisfy { lowercased($0) == $1 }
    }

    private static func lowercased(_ byte: UInt8) -> UInt8 {
        (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(byte) ? byte | 0x20 : byte
    }

    private static func shown(_ bytes: UnsafeRawBufferPointer) -> String {
        "\"\(String(decoding: bytes.prefix(100), as: UTF8.self))\""
    }
}
