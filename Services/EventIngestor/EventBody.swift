import HTTPServer

/// The body of a request, cut into its events, each still JSON.
///
/// One event, an array of events, or one event a line. Which, is said by the content type, or else seen by how the body
/// begins, so that `curl --data` works without a header.
struct EventBody {
    /// One event's bytes and where they stood.
    struct Piece {
        let bytes: ArraySlice<UInt8>
        /// `line 3`, `event 3 of the array`; nil for a lone event.
        let place: Place?
    }

    /// Where an event stood in its request.
    enum Place: Equatable {
        /// Of an NDJSON body, counted from 1.
        case line(Int)
        /// Of an array, counted from 0.
        case index(Int)
    }

    /// Why a body cannot be cut.
    struct Failure: Error, Equatable {
        let status: Int
        let reason: String
    }

    let pieces: [Piece]

    /// Cuts a request's body.
    init(_ request: HTTPRequest) throws(Failure) {
        try Self.checkEncoding(request)
        let body = Self.withoutMark(request.body)
        guard let first = body.first(where: { !$0.isJSONSpace }) else {
            throw Failure(
                status: 400,
                reason: "the body is empty: send an event, an array of events, or one event a line"
            )
        }
        switch request.contentType {
        case "application/x-ndjson", "application/ndjson", "application/jsonl", "application/x-jsonlines":
            pieces = Self.lines(of: body)
        case nil, "application/json", "text/json", "text/plain", "application/x-www-form-urlencoded",
            "application/octet-stream":
            pieces = try Self.sniffed(body, first: first)
        case .some(let type):
            throw Failure(
                status: 415,
                reason: "content type \(type) is not taken: send application/json or application/x-ndjson"
            )
        }
    }

    private static func checkEncoding(_ request: HTTPRequest) throws(Failure) {
        if let encoding = request.header("content-encoding"), encoding.lowercased() != "identity" {
            throw Failure(status: 415, reason: "content encoding \(encoding) is not taken: send the body uncompressed")
        }
        guard let type = request.header("content-type")?.lowercased(), let at = type.firstRange(of: "charset=") else {
            return
        }
        let charset = type[at.upperBound...].prefix { $0 != ";" && $0 != " " }.filter { $0 != "\"" }
        guard ["utf-8", "utf8", "us-ascii"].contains(charset) else {
            throw Failure(status: 415, reason: "charset \(charset) is not taken: send UTF-8")
        }
    }

    private static func withoutMark(_ bytes: [UInt8]) -> ArraySlice<UInt8> {
        bytes.starts(with: [0xEF, 0xBB, 0xBF]) ? bytes.dropFirst(3) : bytes[...]
    }

    private static func sniffed(_ body: ArraySlice<UInt8>, first: UInt8) throws(Failure) -> [Piece] {
        switch first {
        case UInt8(ascii: "["): return try elements(of: body)
        case UInt8(ascii: "{"):
            let end = JSONScanner.endOfValue(in: body, from: body.firstIndex(of: first) ?? body.startIndex)
            let hasMore = end.map { end in body[end...].contains { !$0.isJSONSpace } } ?? false
            // An event that spans lines and is followed by nothing is one event; anything after it makes it lines.
            return hasMore ? lines(of: body) : [Piece(bytes: body, place: nil)]
        default:
            let shown = "0x" + String(first, radix: 16, uppercase: true)
            throw Failure(
                status: 400,
                reason: "the body begins with byte \(shown), which is neither a JSON object nor an array: "
                    + "send UTF-8 JSON, as in {\"user\": \"u1\", \"item\": \"i1\"}"
            )
        }
    }

    private static func lines(of body: ArraySlice<UInt8>) -> [Piece] {
        var pieces: [Piece] = []
        for (index, line) in body.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false).enumerated()
        where line.contains(where: { !$0.isJSONSpace }) {
            pieces.append(Piece(bytes: line, place: .line(index + 1)))
        }
        return pieces
    }

    private static func elements(of body: ArraySlice<UInt8>) throws(Failure) -> [Piece] {
        var pieces: [Piece] = []
        var position = JSONScanner.skipSpace(in: body, from: body.startIndex) + 1
        position = JSONScanner.skipSpace(in: body, from: position)
        if position < body.endIndex, body[position] == UInt8(ascii: "]") {
            try checkEnd(of: body, after: position + 1)
            return []
        }
        while true {
            guard let end = JSONScanner.endOfValue(in: body, from: position) else {
                throw Failure(
                    status: 400,
                    reason: "the array is not complete: event \(pieces.count) does not end; "
                        + "send the whole array, closed with ]"
                )
            }
            pieces.append(Piece(bytes: body[position..<end], place: .index(pieces.count)))
            position = JSONScanner.skipSpace(in: body, from: end)
            guard position < body.endIndex else {
                throw Failure(
                    status: 400,
                    reason: "the array is not closed after event \(pieces.count - 1): end it with ]"
                )
            }
            switch body[position] {
            case UInt8(ascii: ","): position = JSONScanner.skipSpace(in: body, from: position + 1)
            case UInt8(ascii: "]"):
                try checkEnd(of: body, after: position + 1)
                return pieces
            default:
                throw Failure(status: 400, reason: "after event \(pieces.count - 1) of the array a , or ] is missing")
            }
        }
    }

    private static func checkEnd(of body: ArraySlice<UInt8>, after position: Int) throws(Failure) {
        guard body[position...].contains(where: { !$0.isJSONSpace }) else { return }
        throw Failure(status: 400, reason: "there is something after the array's closing ]: send one array")
    }
}

/// Finds where JSON values end, without reading what is in them.
enum JSONScanner {
    /// The index after the value that begins at `start`; nil when it does not end.
    static func endOfValue(in bytes: ArraySlice<UInt8>, from start: Int) -> Int? {
        var depth = 0
        var position = start
        while position < bytes.endIndex {
            switch bytes[position] {
            case UInt8(ascii: "\""):
                guard let end = endOfString(in: bytes, from: position) else { return nil }
                position = end
                if depth == 0 { return end }
                continue
            case UInt8(ascii: "{"), UInt8(ascii: "["): depth += 1
            case UInt8(ascii: "}"), UInt8(ascii: "]"):
                // A bracket that closes what surrounds the value ends a number or word just before it.
                if depth == 0 { return position }
                depth -= 1
                if depth == 0 { return position + 1 }
            case UInt8(ascii: ","):
                if depth == 0 { return position }
            default: break
            }
            position += 1
        }
        return nil
    }

    private static func endOfString(in bytes: ArraySlice<UInt8>, from start: Int) -> Int? {
        var position = start + 1
        while position < bytes.endIndex {
            switch bytes[position] {
            case UInt8(ascii: "\\"): position += 2
            case UInt8(ascii: "\""): return position + 1
            default: position += 1
            }
        }
        return nil
    }

    /// The index of the first byte from `start` on that is no white space.
    static func skipSpace(in bytes: ArraySlice<UInt8>, from start: Int) -> Int {
        var position = start
        while position < bytes.endIndex, bytes[position].isJSONSpace { position += 1 }
        return position
    }
}

extension UInt8 {
    fileprivate var isJSONSpace: Bool { self == 0x20 || self == 0x0A || self == 0x0D || self == 0x09 }
}
