/// Reads the part of a request's target behind the question mark.
enum RequestQuery {
    /// Splits and decodes a query.
    ///
    /// - Parameters:
    ///   - bytes: as they came, without the question mark.
    ///   - maximumCount: the most arguments.
    /// - Returns: names and values in order; the value of a name without `=` is empty.
    /// - Throws: what the request is refused with.
    static func parse(
        _ bytes: some Collection<UInt8>,
        maximumCount: Int
    ) throws(RequestRefusal) -> [(name: String, value: String)] {
        var arguments: [(name: String, value: String)] = []
        for argument in bytes.split(separator: UInt8(ascii: "&")) {
            guard arguments.count < maximumCount else {
                throw RequestRefusal(
                    414,
                    "the query has more than \(maximumCount) arguments: send fewer",
                    field: "query"
                )
            }
            let parts = argument.split(separator: UInt8(ascii: "="), maxSplits: 1, omittingEmptySubsequences: false)
            guard let name = parts.first.flatMap({ PercentEncoding.decode(spaced($0)) }),
                let value = PercentEncoding.decode(spaced(parts.dropFirst().first.map { [UInt8]($0) } ?? []))
            else {
                throw RequestRefusal(
                    400,
                    "the query is not valid: % must be followed by two hexadecimal digits, and the text be UTF-8",
                    field: "query"
                )
            }
            arguments.append((name, value))
        }
        return arguments
    }

    /// In a query, and only there, a plus stands for a space.
    private static func spaced(_ bytes: some Sequence<UInt8>) -> [UInt8] {
        bytes.map { $0 == UInt8(ascii: "+") ? UInt8(ascii: " ") : $0 }
    }
}

/// Decodes `%41` and so on.
enum PercentEncoding {
    /// The decoded text.
    ///
    /// - Returns: nil when a `%` has no two hexadecimal digits after it, or the bytes are not UTF-8 without NUL.
    static func decode(_ text: some Sequence<UInt8>) -> String? {
        var bytes: [UInt8] = []
        var rest = text.makeIterator()
        while let byte = rest.next() {
            guard byte == UInt8(ascii: "%") else {
                bytes.append(byte)
                continue
            }
            guard let high = rest.next().flatMap(digit), let low = rest.next().flatMap(digit) else { return nil }
            bytes.append(high << 4 | low)
        }
        guard !bytes.contains(0) else { return nil }
        return String(validating: bytes, as: UTF8.self)
    }

    private static func digit(_ byte: UInt8) -> UInt8? {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): byte - UInt8(ascii: "a") + 10
        case UInt8(ascii: "A")...UInt8(ascii: "F"): byte - UInt8(ascii: "A") + 10
        default: nil
        }
    }
}
