import CPCRE2

/// Cuts text into the pieces within which tokens are merged.
///
/// Thread-safe: a compiled pattern is never changed after compilation ("The compiled form of a pattern [...] is fixed
/// during matching, so it can be shared", pcre2api), and every call has its own match data.
final class PiecePattern: @unchecked Sendable {
    /// GPT-2's pattern, which Hugging Face's `ByteLevel` uses.
    static let gpt2 = #"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"#

    /// The characters of Unicode's property `White_Space`.
    ///
    /// PCRE2's own `\s` also has U+180E, which is none since Unicode 6.3.
    private static let whiteSpace =
        #"\x{09}-\x{0D}\x{20}\x{85}\x{A0}\x{1680}\x{2000}-\x{200A}\x{2028}\x{2029}\x{202F}\x{205F}\x{3000}"#

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
        let pattern = Array(try Self.withExactWhiteSpace(source).utf8)
        let options = UInt32(PCRE2_UTF) | UInt32(PCRE2_UCP)
        guard
            let code = pcre2_compile_8(pattern, pattern.count, options, &errorNumber, &errorOffset, nil)
        else {
            throw .malformed(
                key: "pre_tokenizer.pattern",
                reason: "\(Self.message(errorNumber)) at byte \(errorOffset) of \(source)"
            )
        }
        self.code = code
        // Without JIT matching is slower but the same, so a failure here is no error.
        _ = pcre2_jit_compile_8(code, UInt32(PCRE2_JIT_COMPLETE))
    }

    deinit { pcre2_code_free_8(code) }

    /// Calls `body` with every piece of valid UTF-8, in order; what no match covers is a piece too.
    func forEachPiece(of text: ArraySlice<UInt8>, _ body: (ArraySlice<UInt8>) -> Void) {
        guard !text.isEmpty, let matchData = pcre2_match_data_create_8(1, nil) else { return }
        defer { pcre2_match_data_free_8(matchData) }
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
                    nil
                )
                guard found >= 0, let ends else { break }
                let (start, end) = (ends[0], ends[1])
                if start > position { cuts.append((position, start)) }
                cuts.append((start, end))
                position = end
            }
            if position < buffer.count { cuts.append((position, buffer.count)) }
        }
        for (start, end) in cuts { body(text[(text.startIndex + start)..<(text.startIndex + end)]) }
    }

    /// Writes out `\s` and `\S` as Unicode's `White_Space`.
    private static func withExactWhiteSpace(_ source: String) throws(TokenizerError) -> String {
        var result = ""
        var isInClass = false
        var isEscaped = false
        for character in source {
            if isEscaped {
                isEscaped = false
                switch (character, isInClass) {
                case ("s", true): result += whiteSpace
                case ("s", false): result += "[\(whiteSpace)]"
                case ("S", false): result += "[^\(whiteSpace)]"
                case ("S", true):
                    throw .unsupported(key: "pre_tokenizer.pattern", value: source, supported: #"\S outside of [...]"#)
                default: result += "\\\(character)"
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
        return result
    }

    private static func message(_ number: Int32) -> String {
        var buffer = [UInt8](repeating: 0, count: 256)
        let length = pcre2_get_error_message_8(number, &buffer, buffer.count)
        return String(decoding: buffer.prefix(max(0, Int(length))), as: UTF8.self)
    }
}
