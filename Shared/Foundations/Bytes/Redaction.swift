/// Hides passwords in texts that are shown.
///
/// Only parts of an address that are known to be harmless are shown. Everything else is hidden, above all when it is
/// unclear where the password ends.
public enum Redaction {
    /// The text that replaces what is hidden.
    public static let mark = "<redacted>"

    /// An address as it may be shown: `postgresql://me:<redacted>@host/name`, `host=a password=<redacted>`.
    ///
    /// - Parameter text: a URL of any scheme, or a libpq text of `key=value`.
    /// - Returns: the mark alone when the text is neither.
    public static func address(_ text: String) -> String {
        if let parts = AddressParts(text) { return parts.shown }
        return text.contains("=") ? ConnectionText(text).shown : mark
    }

    /// A word of a command line that is in the wrong place; it may be an address or a part of one.
    public static func word(_ text: String) -> String {
        text.contains { "=@".contains($0) } || text.contains("://") ? address(text) : text
    }

    /// A setting's value as it may be shown.
    public static func value(_ value: String, of key: String) -> String { shows(value, of: key) ? value : mark }

    /// A text without these secrets.
    public static func hiding(_ secrets: [String], in text: String) -> String {
        // In pieces, so that a short secret is not searched for in the marks of the others.
        var pieces = [text]
        for secret in secrets.sorted(by: { $0.utf8.count > $1.utf8.count }) where !secret.isEmpty {
            pieces = pieces.flatMap { $0.split(separator: secret, omittingEmptySubsequences: false).map(String.init) }
        }
        return pieces.joined(separator: mark)
    }

    /// What may be a password in an address, as it is written there.
    public static func secrets(in address: String) -> [String] {
        var secrets: [Substring] = []
        if let scheme = address.firstRange(of: "://") {
            let rest = address[scheme.upperBound...]
            if let at = rest.lastIndex(of: "@"), let colon = rest[..<at].firstIndex(of: ":") {
                secrets.append(rest[rest.index(after: colon)..<at])
            }
            let query = rest.firstIndex(of: "?").map { rest[rest.index(after: $0)...] } ?? ""
            for piece in query.split(separator: "&") {
                let sides = piece.split(separator: "=", maxSplits: 1)
                if sides.count == 2, isSecret(String(sides[0])) { secrets.append(sides[1]) }
            }
        } else {
            secrets = ConnectionText(address).settings.filter { isSecret($0.key) }.map { $0.value[...] }
        }
        return secrets.map(String.init).filter { !$0.isEmpty }
    }

    // MARK: - Keys

    /// Whether a key's name says that its value is a secret.
    public static func isSecret(_ key: String) -> Bool {
        let key = key.lowercased()
        return ["password", "secret", ".pem", "token", "oauthbearer.config", "passwd", "credential"]
            .contains { key.contains($0) } && !key.hasSuffix(".file") && !key.hasSuffix(".location")
    }

    /// Whether a value of a key is known to be harmless.
    static func shows(_ value: String, of key: String) -> Bool {
        guard isHarmless(key), !value.contains("://") else { return false }
        if key == "port" || numericEnds.contains(where: key.hasSuffix) {
            return value.utf8.allSatisfy { isDigit($0) || ",-".utf8.contains($0) }
        }
        return value.utf8.allSatisfy(isPlain)
    }

    private static func isHarmless(_ key: String) -> Bool {
        if isSecret(key) { return false }
        return harmlessKeys.contains(key) || (numericEnds + [".location", ".file"]).contains(where: key.hasSuffix)
    }

    private static let harmlessKeys: Set<String> = [
        // libpq's
        "host", "hostaddr", "port", "dbname", "user", "sslmode", "sslrootcert", "sslcert", "sslkey", "sslcrl",
        "sslcrldir",
        "ssl_min_protocol_version", "ssl_max_protocol_version", "sslcompression", "sslsni", "connect_timeout",
        "application_name", "fallback_application_name", "client_encoding", "target_session_attrs", "keepalives",
        "keepalives_idle", "keepalives_interval", "keepalives_count", "tcp_user_timeout", "gssencmode", "krbsrvname",
        "channel_binding", "requirepeer", "load_balance_hosts", "passfile", "service",
        // librdkafka's, and ours beside them
        "replication.factor", "partition.assignment.strategy", "security.protocol", "sasl.mechanism", "sasl.mechanisms",
        "sasl.username", "debug", "compression.codec", "compression.type", "broker.address.family", "client.rack",
        "ssl.endpoint.identification.algorithm", "enable.ssl.certificate.verification", "ssl.cipher.suites",
    ]
    /// Endings of keys whose values are numbers.
    private static let numericEnds = [".ms", ".bytes", ".kbytes", ".messages"]

    static func isDigit(_ byte: UInt8) -> Bool { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) }

    /// Letters, digits, and the punctuation of hosts, paths and numbers; never a delimiter of an address.
    static func isPlain(_ byte: UInt8) -> Bool {
        isDigit(byte) || (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte | 0x20) && byte < 0x80
            || "._~%/:,[]+-".utf8.contains(byte)
    }
}

/// A URL in pieces, as far as it is unambiguous where they begin.
private struct AddressParts {
    let shown: String

    /// Nil when the text does not begin as a URL.
    init?(_ text: String) {
        guard let scheme = text.firstRange(of: "://"), scheme.lowerBound > text.startIndex,
            text[..<scheme.lowerBound].utf8.allSatisfy({ Redaction.isPlain($0) && !":/,[]%~".utf8.contains($0) })
        else { return nil }
        let start = text[..<scheme.upperBound]
        let rest = text[scheme.upperBound...]
        let query = rest.firstIndex(of: "?") ?? rest.endIndex
        let end = rest.firstIndex { "/?#".contains($0) } ?? rest.endIndex
        let path = end < query ? rest[end..<query] : ""
        guard let authority = Self.authority(rest[..<end]),
            path.utf8.allSatisfy({ Redaction.isPlain($0) && $0 != UInt8(ascii: ":") }),
            // A password with a slash or a question mark looks like a host, a port and more.
            !(rest[end...].contains("@") && rest[..<end].contains(":") && !rest[..<end].contains("@"))
        else {
            shown = start + Redaction.mark
            return
        }
        shown = start + authority + path + (query < rest.endIndex ? Self.query(rest[rest.index(after: query)...]) : "")
    }

    private static func authority(_ text: Substring) -> String? {
        let sides = text.split(separator: "@", omittingEmptySubsequences: false)
        guard sides.count <= 2, let hosts = sides.last, hosts.split(separator: ",").allSatisfy(isHost) else {
            return nil
        }
        guard sides.count == 2 else { return String(hosts) }
        let names = sides[0].split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
        let user = names[0].utf8.allSatisfy { Redaction.isPlain($0) } ? String(names[0]) : Redaction.mark
        return user + (names.count > 1 ? ":\(Redaction.mark)@" : "@") + hosts
    }

    /// `name`, `name:1234`, `[::1]:1234`; anything else after a colon may be a password.
    private static func isHost(_ text: Substring) -> Bool {
        text.wholeMatch(of: #/(?:\[[0-9A-Fa-f:.%]*\]|[A-Za-z0-9._%\-]*)(?::[0-9]{0,5})?/#) != nil
    }

    private static func query(_ text: Substring) -> String {
        var pieces: [String] = []
        for piece in text.split(separator: "&", omittingEmptySubsequences: false) {
            let sides = piece.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
            if sides.count == 2, Redaction.shows(sides[1], of: sides[0]) {
                pieces.append(String(piece))
            } else if sides.count == 2, Redaction.isSecret(sides[0]), sides[0].utf8.allSatisfy(Redaction.isPlain) {
                pieces.append("\(sides[0])=\(Redaction.mark)")
            } else {
                pieces.append(Redaction.mark)
            }
        }
        return "?" + pieces.joined(separator: "&")
    }
}

/// A text of `key=value` as libpq reads it: values may be in quotes, and a backslash takes the next letter as it is.
private struct ConnectionText {
    private(set) var settings: [(key: String, value: String)] = []
    /// Whether there is a remainder that is not a setting.
    private var isBroken = false

    init(_ text: String) {
        var rest = text[...]
        while true {
            rest = rest.drop(while: \.isWhitespace)
            if rest.isEmpty { return }
            guard let equals = rest.firstIndex(of: "=") else { break }
            let key = rest[..<equals].trimmingEnd
            guard !key.isEmpty, !key.contains(where: \.isWhitespace) else { break }
            rest = rest[rest.index(after: equals)...].drop(while: \.isWhitespace)
            guard let value = Self.value(&rest) else { break }
            settings.append((String(key), value))
        }
        isBroken = true
    }

    private static func value(_ rest: inout Substring) -> String? {
        var value = ""
        let isQuoted = rest.first == "'"
        if isQuoted { rest = rest.dropFirst() }
        while let next = rest.first {
            rest = rest.dropFirst()
            if next == "\\" {
                if let taken = rest.popFirst() { value.append(taken) }
            } else if isQuoted ? next == "'" : next.isWhitespace {
                return value
            } else {
                value.append(next)
            }
        }
        return isQuoted ? nil : value
    }

    var shown: String {
        var words = settings.map { key, value in
            if Redaction.shows(value, of: key) { return "\(key)=\(value)" }
            return Redaction.isSecret(key) && key.utf8.allSatisfy(Redaction.isPlain)
                ? "\(key)=\(Redaction.mark)" : Redaction.mark
        }
        if isBroken { words.append(Redaction.mark) }
        return words.joined(separator: " ")
    }
}

extension Substring {
    fileprivate var trimmingEnd: Substring {
        var rest = self
        while rest.last?.isWhitespace == true { rest.removeLast() }
        return rest
    }
}
