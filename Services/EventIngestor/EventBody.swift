import HTTPServer
import JSON

/// The body of a request, split into its events, each still JSON.
///
/// One event, an array of events, or one event per line. The content type says which; otherwise the first bytes decide,
/// so that `curl --data` works without a header. Events are found one at a time, so a body takes no more memory than
/// its bytes, however many events it has.
struct EventBody {
    /// The range of one event, and its position in the request.
    struct Piece {
        let range: Range<Int>
        /// `line 3`, `event 3 of the array`; nil for a lone event.
        let place: Place?
    }

    /// The position of an event in its request.
    enum Place: Equatable {
        /// The line of an NDJSON body, counted from 1.
        case line(Int)
        /// The index in an array, counted from 0.
        case index(Int)
    }

    /// Why a body cannot be split.
    struct Failure: Error, Equatable {
        let status: Int
        let reason: String
    }

    private enum Form { case lone, lines, array }

    /// The upper limit for one event, whatever the settings say; anything longer is not examined further.
    static let largestEventByteCount = 1 << 20

    /// The whole body; a piece is a range of it.
    let bytes: [UInt8]
    private let form: Form
    /// How far the body has been split.
    private(set) var position: Int
    /// Lines or elements that have ended so far.
    private var number = 0
    /// For an array, positioned at the next element.
    private var scanner: JSONScanner

    /// Determines what kind of body a request has.
    init(_ request: HTTPRequest) throws(Failure) {
        let contentType = request.contentType
        try Self.checkEncoding(request, contentType)
        bytes = request.body
        position = bytes.starts(with: [0xEF, 0xBB, 0xBF]) ? 3 : 0
        scanner = JSONScanner(bytes, position..<bytes.count)
        guard let first = scanner.peek() else {
            throw Failure(
                status: 400,
                reason: "the body is empty: send an event, an array of events, or one event a line"
            )
        }
        switch contentType?.type {
        case "application/x-ndjson", "application/ndjson", "application/jsonl", "application/x-jsonlines":
            form = .lines
        case nil, "application/json", "text/json", "text/plain", "application/x-www-form-urlencoded",
            "application/octet-stream":
            form = try Self.sniffed(first, bytes, scanner)
        case .some(let type):
            throw Failure(
                status: 415,
                reason: "content type \(type) is not taken: send application/json or application/x-ndjson"
            )
        }
    }

    // MARK: - Pieces

    /// Checks that an array of events is complete before any of them is accepted; other bodies need no such check.
    ///
    /// It calls `pause` after every `byteCount` bytes.
    func checkWhole(every byteCount: Int, pause: () async -> Void) async throws(Failure) {
        guard form == .array else { return }
        var scanner = scanner
        var next = scanner.position + byteCount
        var count = 0
        var isTooLarge = false
        do throws(JSONError) {
            try scanner.beginArray()
            while !isTooLarge, try scanner.nextValue(isFirst: count == 0) {
                isTooLarge = try !scanner.skipValue(within: Self.largestEventByteCount)
                count += 1
                guard scanner.position > next else { continue }
                await pause()
                next = scanner.position + byteCount
            }
            if !isTooLarge { try scanner.finish() }
        } catch {
            throw Failure(
                status: 400,
                reason:
                    "the array of events cannot be read at or after event \(count): it \(error.detail); nothing of it was taken"
            )
        }
        guard isTooLarge else { return }
        throw Failure(
            status: 413,
            reason:
                "event \(count - 1) of the array has more than \(Self.largestEventByteCount) bytes: send it smaller; "
                + "nothing of the array was taken"
        )
    }

    /// Finds the next event; nil at the end.
    mutating func next() -> Piece? {
        switch form {
        case .lone:
            guard number == 0 else { return nil }
            number = 1
            defer { position = bytes.count }
            return Piece(range: position..<bytes.count, place: nil)
        case .lines: return nextLine()
        case .array: return nextElement()
        }
    }

    private mutating func nextLine() -> Piece? {
        var start = position
        while position < bytes.count, bytes[position].isJSONSpace {
            position += 1
            if bytes[position - 1] == UInt8(ascii: "\n") {
                number += 1
                start = position
            }
        }
        guard position < bytes.count else { return nil }
        position = bytes[position...].firstIndex(of: UInt8(ascii: "\n")) ?? bytes.count
        return Piece(range: start..<position, place: .line(number + 1))
    }

    /// The array was checked to be complete; an incomplete one ends where it becomes invalid.
    private mutating func nextElement() -> Piece? {
        do throws(JSONError) {
            if number == 0 { try scanner.beginArray() }
            guard try scanner.nextValue(isFirst: number == 0) else { return end() }
            _ = scanner.peek()
            let start = scanner.position
            try scanner.skipValue()
            position = scanner.position
            defer { number += 1 }
            return Piece(range: start..<position, place: .index(number))
        } catch {
            return end()
        }
    }

    private mutating func end() -> Piece? {
        position = bytes.count
        return nil
    }

    // MARK: - What a body is

    private static func checkEncoding(_ request: HTTPRequest, _ contentType: HTTPContentType?) throws(Failure) {
        if let encoding = request.header("content-encoding"), encoding.lowercased() != "identity" {
            throw Failure(status: 415, reason: "content encoding \(encoding) is not taken: send the body uncompressed")
        }
        if let charset = contentType?.charset, !["utf-8", "utf8", "us-ascii"].contains(charset) {
            throw Failure(status: 415, reason: "charset \(charset) is not taken: send UTF-8")
        }
    }

    private static func sniffed(_ first: UInt8, _ bytes: [UInt8], _ scanner: JSONScanner) throws(Failure) -> Form {
        switch first {
        case UInt8(ascii: "["): return .array
        case UInt8(ascii: "{"): return hasMore(bytes, scanner) ? .lines : .lone
        default:
            let shown = "0x" + String(first, radix: 16, uppercase: true)
            throw Failure(
                status: 400,
                reason: "the body begins with byte \(shown), which is neither a JSON object nor an array: "
                    + "send UTF-8 JSON, as in {\"user\": \"u1\", \"item\": \"i1\"}"
            )
        }
    }

    /// Whether anything follows the first object.
    ///
    /// An event that spans lines and has nothing after it is one event; anything after it makes the body NDJSON. If the
    /// first object is invalid or too large, a later line that begins with `{` does.
    private static func hasMore(_ bytes: [UInt8], _ scanner: JSONScanner) -> Bool {
        let start = scanner.position
        var scanner = scanner
        do throws(JSONError) {
            if try scanner.skipValue(within: largestEventByteCount) { return scanner.peek() != nil }
        } catch {
            return hasLineWithObject(bytes[start...])
        }
        return hasLineWithObject(bytes[start...])
    }

    private static func hasLineWithObject(_ bytes: ArraySlice<UInt8>) -> Bool {
        var rest = bytes
        while let end = rest.firstIndex(of: UInt8(ascii: "\n")) {
            rest = rest[(end + 1)...].drop { $0.isJSONSpace }
            if rest.first == UInt8(ascii: "{") { return true }
        }
        return false
    }
}

extension UInt8 {
    fileprivate var isJSONSpace: Bool { self == 0x20 || self == 0x0A || self == 0x0D || self == 0x09 }
}
