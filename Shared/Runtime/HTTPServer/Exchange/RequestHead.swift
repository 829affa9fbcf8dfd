/// Checks the headers of one request against the rules by which servers agree where a request ends.
///
/// libmicrohttpd is lenient: of two lengths it takes the first, it joins folded lines, and it accepts blanks before a
/// colon. A proxy in front of it may parse such a request differently, and what is a body to one of them is somebody
/// else's request to the other (request smuggling). So anything ambiguous is refused, and the connection closed.
/// Headers are checked one by one in place: nothing is copied.
struct RequestHead {
    /// The most headers; the library takes any number that fits into its memory.
    static let maximumHeaderCount = 100
    private static let maximumMethodByteCount = 32

    private(set) var refusal: RequestRefusal?
    /// How long the body is, when the request says so.
    private(set) var contentLength: Int?
    /// Whether the body comes in chunks, whose ends only the library sees.
    private(set) var isChunked = false
    private(set) var expectsContinue = false
    private(set) var host: UnsafeRawBufferPointer?
    private(set) var origin: UnsafeRawBufferPointer?
    private(set) var fetchSite: UnsafeRawBufferPointer?
    private var headerCount = 0
    private let isHTTP11: Bool

    /// Starts with the request's first line.
    init(method: UnsafeRawBufferPointer, version: UnsafeRawBufferPointer) {
        isHTTP11 = version.elementsEqual("HTTP/1.1".utf8)
        if !isHTTP11, !version.elementsEqual("HTTP/1.0".utf8) {
            refuse(.framing("the version is not known: send HTTP/1.1", status: 505))
        } else if !Self.isToken(method) || method.count > Self.maximumMethodByteCount {
            refuse(.framing("the method is not one of HTTP", field: "method"))
        }
    }

    /// Checks a header; its bytes must stay where they are until `finish`.
    mutating func take(name: UnsafeRawBufferPointer, value: UnsafeRawBufferPointer) {
        guard refusal == nil else { return }
        headerCount += 1
        guard headerCount <= Self.maximumHeaderCount else {
            return refuse(.framing("there are more than \(Self.maximumHeaderCount) headers: send fewer", status: 431))
        }
        guard Self.isToken(name) else {
            return refuse(
                .framing(
                    "the header name \(Self.shown(name)) is not valid: letters, digits and hyphens, then the colon"
                )
            )
        }
        guard value.allSatisfy({ $0 >= 0x20 && $0 != 0x7F || $0 == UInt8(ascii: "\t") }) else {
            return refuse(.framing("the header has a control character in its value", field: Self.text(name)))
        }
        switch name.count {
        case 4 where Self.equal(name, "host"): takeHost(value)
        case 6 where Self.equal(name, "origin"):
            if origin != nil { refuse(.framing("Origin is there twice", field: "Origin")) }
            origin = value
        case 6 where Self.equal(name, "expect"): takeExpectation(value)
        case 14 where Self.equal(name, "content-length"): takeLength(value)
        case 14 where Self.equal(name, "sec-fetch-site"):
            if fetchSite != nil { refuse(.framing("Sec-Fetch-Site is there twice", field: "Sec-Fetch-Site")) }
            fetchSite = value
        case 17 where Self.equal(name, "transfer-encoding"): takeEncoding(value)
        default: break
        }
    }

    /// Checks the head as a whole.
    ///
    /// - Parameter isLineByLine: whether each header lay in one line of its own that ended with CR and LF.
    mutating func finish(isLineByLine: Bool) {
        guard refusal == nil else { return }
        guard isLineByLine else {
            return refuse(
                .framing(
                    "a line of the head is continued in the next, ends without CR and LF, or has a NUL or stray blank in it"
                )
            )
        }
        if isHTTP11, host == nil { refuse(.framing("the Host header is missing", field: "Host")) }
        guard isChunked else { return }
        if contentLength != nil {
            refuse(.framing("Content-Length and Transfer-Encoding are both there: send one", field: "Content-Length"))
        } else if !isHTTP11 {
            refuse(.framing("HTTP/1.0 has no Transfer-Encoding: send Content-Length", field: "Transfer-Encoding"))
        }
    }

    // MARK: - Headers

    private mutating func takeHost(_ value: UnsafeRawBufferPointer) {
        if host != nil { refuse(.framing("Host is there twice", field: "Host")) }
        host = value
    }

    private mutating func takeLength(_ value: UnsafeRawBufferPointer) {
        let isNumber = value.allSatisfy { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
        let length = isNumber ? Int(Self.text(value)) : nil
        guard contentLength == nil, let length else {
            let reason = contentLength == nil ? "is not a whole number of bytes" : "is there twice"
            return refuse(.framing("Content-Length \(reason)", field: "Content-Length"))
        }
        contentLength = length
    }

    private mutating func takeEncoding(_ value: UnsafeRawBufferPointer) {
        guard !isChunked else {
            return refuse(.framing("Transfer-Encoding is there twice", field: "Transfer-Encoding"))
        }
        guard Self.equal(value, "chunked") else {
            return refuse(
                .framing(
                    "Transfer-Encoding \(Self.shown(value)) is not known: send chunked, or Content-Length",
                    field: "Transfer-Encoding",
                    status: 501
                )
            )
        }
        isChunked = true
    }

    private mutating func takeExpectation(_ value: UnsafeRawBufferPointer) {
        guard Self.equal(value, "100-continue") else {
            return refuse(
                .framing("Expect \(Self.shown(value)) is not known: send 100-continue", field: "Expect", status: 417)
            )
        }
        expectsContinue = true
    }

    private mutating func refuse(_ refusal: RequestRefusal) {
        if self.refusal == nil { self.refusal = refusal }
    }

    // MARK: - Bytes

    /// Whether a name has only the characters that HTTP allows in one, and at least one.
    private static func isToken(_ bytes: UnsafeRawBufferPointer) -> Bool {
        !bytes.isEmpty
            && bytes.allSatisfy { byte in
                let (high, low) = (UInt64(byte >> 6), UInt64(byte & 63))
                return high < 2 && (high == 0 ? lowTokens : highTokens) >> low & 1 == 1
            }
    }

    private static let lowTokens = bits("!#$%&'*+-.0123456789", from: 0)
    private static let highTokens = bits("ABCDEFGHIJKLMNOPQRSTUVWXYZ^_`abcdefghijklmnopqrstuvwxyz|~", from: 64)

    private static func bits(_ characters: String, from first: UInt8) -> UInt64 {
        characters.utf8.reduce(0) { $0 | 1 << UInt64($1 - first) }
    }

    /// Compares without case; `lower` is in lower case and has letters and hyphens only.
    private static func equal(_ bytes: UnsafeRawBufferPointer, _ lower: StaticString) -> Bool {
        guard bytes.count == lower.utf8CodeUnitCount else { return false }
        for index in bytes.indices {
            let byte = bytes[index]
            let isCapital = (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(byte)
            if (isCapital ? byte | 0x20 : byte) != lower.utf8Start[index] { return false }
        }
        return true
    }

    private static func text(_ bytes: UnsafeRawBufferPointer) -> String { String(decoding: bytes, as: UTF8.self) }

    private static func shown(_ bytes: UnsafeRawBufferPointer) -> String {
        "\"\(text(UnsafeRawBufferPointer(rebasing: bytes.prefix(100))))\""
    }
}
