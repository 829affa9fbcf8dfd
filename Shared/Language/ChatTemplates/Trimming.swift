/// Python's operations on strings that templates use, on Unicode scalars as there: a `Character` of Swift may join a
/// line break with what stands beside it.
enum Trimming {
    /// `strip()`: without white space at both ends, by Python's `isspace`.
    static func whiteSpace(_ text: String) -> String {
        trimmed(text) { $0.properties.isWhitespace || (0x1C...0x1F).contains($0.value) }
    }

    /// `strip('\n')`.
    static func newlines(_ text: String) -> String { trimmed(text) { $0 == "\n" } }

    /// `lstrip('\n')`.
    static func leadingNewlines(_ text: String) -> String {
        String(text.unicodeScalars.drop { $0 == "\n" })
    }

    static func starts(_ text: String, with start: String) -> Bool { text.utf8.starts(with: start.utf8) }

    static func ends(_ text: String, with end: String) -> Bool {
        text.utf8.reversed().starts(with: end.utf8.reversed())
    }

    /// Whether a text contains a mark, byte by byte.
    static func contains(_ text: String, _ mark: String) -> Bool { place(of: mark, in: Array(text.utf8)) != nil }

    /// The thought in front of `</think>`, without `<think>`, and what follows the last `</think>`; as Qwen 3's template
    /// divides an answer.
    static func thought(in content: String) -> (thought: String, answer: String) {
        let bytes = Array(content.utf8)
        guard let end = place(of: "</think>", in: bytes) else { return ("", content) }
        var before = bytes[..<end]
        while before.last == UInt8(ascii: "\n") { before.removeLast() }
        if let start = lastPlace(of: "<think>", in: Array(before)) { before = before[(start + 7)...] }
        var after = bytes[...]
        if let last = lastPlace(of: "</think>", in: bytes) { after = bytes[(last + 8)...] }
        let isNewline = { (byte: UInt8) in byte == UInt8(ascii: "\n") }
        return (
            String(decoding: before.drop(while: isNewline), as: UTF8.self),
            String(decoding: after.drop(while: isNewline), as: UTF8.self)
        )
    }

    private static func trimmed(_ text: String, _ isTrimmed: (Unicode.Scalar) -> Bool) -> String {
        let scalars = text.unicodeScalars
        guard let first = scalars.firstIndex(where: { !isTrimmed($0) }),
            let last = scalars.lastIndex(where: { !isTrimmed($0) })
        else { return "" }
        return String(scalars[first...last])
    }

    private static func place(of mark: String, in text: [UInt8]) -> Int? {
        let mark = Array(mark.utf8)
        guard !mark.isEmpty, mark.count <= text.count else { return nil }
        return (0...(text.count - mark.count)).first { text[$0] == mark[0] && text[$0...].starts(with: mark) }
    }

    private static func lastPlace(of mark: String, in text: [UInt8]) -> Int? {
        let mark = Array(mark.utf8)
        guard !mark.isEmpty, mark.count <= text.count else { return nil }
        return (0...(text.count - mark.count)).last { text[$0] == mark[0] && text[$0...].starts(with: mark) }
    }
}
