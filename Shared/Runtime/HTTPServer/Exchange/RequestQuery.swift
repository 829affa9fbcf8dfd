import Bytes

/// Parses the part of a request's target after the question mark.
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
