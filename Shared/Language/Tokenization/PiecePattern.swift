import CPCRE2

/// Splits text into the pieces within which tokens are merged.
///
/// A pattern comes from a file, so its cost is bounded: its own length, the steps of a match in proportion to the
/// text, and the memory of a match. When a bound is hit, the rest of the text becomes one piece.
///
/// Thread-safe: a compiled pattern is never changed after compilation ("The compiled form of a pattern [...] is fixed
/// during matching, so it can be shared", pcre2api), and every call has its own match data.
final class PiecePattern: @unchecked Sendable {
    /// GPT-2's pattern, which Hugging Face's `ByteLevel` uses.
    static let gpt2 = #"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"#

    /// The characters of Unicode's property `White_Space`.
    ///
    /// PCRE2's own `\s` also matches U+180E, which has not been white space since Unicode 6.3.
    private static let whiteSpace =
        #"\x{09}-\x{0D}\x{20}\x{85}\x{A0}\x{1680}\x{2000}-\x{200A}\x{2028}\x{2029}\x{202F}\x{205F}\x{3000}"#

    /// Maximum length of a pattern in bytes; those in use have a few hundred.
    private static let longest = 10_000
    /// Maximum memory of a match, in KiB.
    private static let matchMemory: UInt32 = 65_536

    /// The pattern as it was given.
    let source: String
    private let code: OpaquePointer

    /// Compiles a pattern.
    ///
    /// - Throws: `TokenizerError.malformed` with the compiler's message and position.
    init(_ source: String) throws(TokenizerError) {
        self.source = source
        var errorNumber: Int32 = 0
        var errorOffset = 0
        guard source.utf8.count <= Self.longest else {
            let count = source.utf8.count
            throw .malformed(
                key: "pre_tokenizer.pattern",
                reason: "has \(count) bytes, expected at most \(Self.longest)"
            )
        }
        let pattern = Array(try Self.withExactWhiteSpace(source).utf8)
        // `\C` matches a single byte and could end within a character.
        let options = UInt32(PCRE2_UTF) | UInt32(PCRE2_UCP) | UInt32(PCRE2_NEVER_BACKSLASH_C)
        guard
            let code = pcre2_compile_8(pattern, pattern.count, options, &errorNumber, &errorOffset, nil)
        else {
            throw .malformed(
                key: "pre_tokenizer.pattern",
                reason: "\(Self.message(errorNumber)) at byte \(errorOffset) of \(source)"
            )
        }
        self.code = code
        // Without JIT, matching is slower but gives the same result, so a failure here is not an error.
        _ = pcre2_jit_compile_8(code, UInt32(PCRE2_JIT_COMPLETE))
    }

    deinit { pcre2_code_free_8(code) }

    /// Calls `body` with every piece of valid UTF-8, in order; text that no match covers is a piece too.
    func forEachPiece(of text: ArraySlice<UInt8>, _ body: (ArraySlice<UInt8>) -> Void) {
        guard !text.isEmpty else { return }
        guard let matchData = pcre2_match_data_create_8(1, nil), let context = pcre2_match_context_create_8(nil) else {
            return body(text)
        }
        defer {
            pcre2_match_data_free_8(matchData)
            pcre2_match_context_free_8(context)
        }
        pcre2_set_heap_limit_8(context, Self.matchMemory)
        // Backtracking over a whole text once, as patterns in use do over white space, stays far below this.
        pcre2_set_match_limit_8(context, UInt32(clamping: 10_000 + 16 * text.count))
        var cuts: [(Int, Int)] = []
        text.withUnsafeBufferPointer { buffer in
            guard let base = buffer.baseAddress else { return }
            let ends = pcre2_get_ovector_pointer_8(matchData)
            var position = 0
            while position < buffer.count {
                let found = pcre2_match_8(
                    code,
                    base,
                    buffer.count,
                    position,
                    UInt32(PCRE2_NO_UTF_CHECK) | UInt32(PCRE2_NOTEMPTY),
                    matchData,
                    context
                )
                guard found >= 0, let ends else { break }
                let (start, end) = (ends[0], ends[1])
                guard position <= start, start < end else { break }
                if start > position { cuts.append((position, start)) }
                cuts.append((start, end))
                position = end
            }
            if position < buffer.count { cuts.append((position, buffer.count)) }
        }
        for (start, end) in cuts { body(text[(text.startIndex + start)..<(text.startIndex + end)]) }
    }

    /// Replaces `\s` and `\S` with Unicode's `White_Space`.
    private static func withExactWhiteSpace(_ source: String) throws(TokenizerError) -> String {
        var result = String.UnicodeScalarView()
        var isInClass = false
        var isEscaped = false
        for character in source.unicodeScalars {
            if isEscaped {
                isEscaped = false
                switch (character, isInClass) {
                case ("s", true): result += whiteSpace.unicodeScalars
                case ("s", false): result += "[\(whiteSpace)]".unicodeScalars
                case ("S", false): result += "[^\(whiteSpace)]".unicodeScalars
                case ("S", true):
                    throw .unsupported(key: "pre_tokenizer.pattern", value: source, supported: #"\S outside of [...]"#)
                default: result += ["\\", character]
                }
                continue
            }
            switch character {
            case "\\": isEscaped = true
            case "[":
                isInClass = true
                result.append(character)
            case "]":
                isInClass = false
                result.append(character)
            default: result.append(character)
            }
        }
        // A trailing backslash is left for the pattern compiler to reject.
        if isEscaped { result.append("\\") }
        return String(result)
    }

    private static func message(_ number: Int32) -> String {
        var buffer = [UInt8](repeating: 0, count: 256)
        let length = pcre2_get_error_message_8(number, &buffer, buffer.count)
        return String(decoding: buffer.prefix(max(0, Int(length))), as: UTF8.self)
    }
}
