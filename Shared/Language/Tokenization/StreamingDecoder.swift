/// Decodes tokens to text one by one, never emitting part of a character.
///
/// A token may end in the middle of a character; its bytes are held back until the rest arrives. All pieces together,
/// including `finish()`, equal what `Tokenizer.decode` returns for all tokens.
public struct StreamingDecoder: Sendable {
    private let tokenizer: Tokenizer
    private let skipsSpecialTokens: Bool
    private var pending: [UInt8] = []

    /// Starts decoding a text.
    public init(_ tokenizer: Tokenizer, skipsSpecialTokens: Bool = true) {
        self.tokenizer = tokenizer
        self.skipsSpecialTokens = skipsSpecialTokens
    }

    /// Appends a token and returns the text that it completes; often empty.
    public mutating func append(_ id: Int32) -> String {
        pending += tokenizer.bytes(of: id, skipsSpecialTokens: skipsSpecialTokens)
        let complete = pending.count - Self.unfinishedCount(pending)
        defer { pending.removeFirst(complete) }
        return String(decoding: pending[..<complete], as: UTF8.self)
    }

    /// Ends the text and returns the rest: U+FFFD for an incomplete character.
    public mutating func finish() -> String {
        defer { pending = [] }
        return String(decoding: pending, as: UTF8.self)
    }

    /// The number of trailing bytes that are the start of a character and could still be completed.
    private static func unfinishedCount(_ bytes: [UInt8]) -> Int {
        for count in 1...3 where count <= bytes.count {
            let lead = bytes[bytes.count - count]
            if lead & 0xC0 == 0x80 { continue }
            let length =
                switch lead {
                case 0xC2...0xDF: 2
                case 0xE0...0xEF: 3
                case 0xF0...0xF4: 4
                default: 1
                }
            guard length > count else { return 0 }
            if count > 1, !isSecond(bytes[bytes.count - count + 1], after: lead) { return 0 }
            return count
        }
        return 0
    }

    /// Whether a byte may follow a lead byte (Unicode, table 3-7: no overlong forms, no surrogates, at most U+10FFFF).
    private static func isSecond(_ byte: UInt8, after lead: UInt8) -> Bool {
        switch lead {
        case 0xE0: byte >= 0xA0
        case 0xED: byte <= 0x9F
        case 0xF0: byte >= 0x90
        case 0xF4: byte <= 0x8F
        default: true
        }
    }
}
