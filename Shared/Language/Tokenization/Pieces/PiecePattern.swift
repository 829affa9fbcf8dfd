import CPCRE2

/// Finds the matches of a pattern, which divide a text into pieces.
///
/// A pattern comes from a file, so its cost is bounded: its own length, the steps of a match in proportion to the
/// text, and the memory of a match. When a bound is hit, the rest of the text has no matches.
///
/// Thread-safe: a compiled pattern is never changed after compilation ("The compiled form of a pattern [...] is fixed
/// during matching, so it can be shared", pcre2api), and every call has its own match data.
final class PiecePattern: @unchecked Sendable {
    /// GPT-2's pattern, which Hugging Face's `ByteLevel` uses.
    static let gpt2 = #"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"#

    /// Maximum length of a pattern in bytes; those in use have a few hundred.
    private static let longest = 10_000
    /// Maximum memory of a match, in KiB.
    private static let matchMemory: UInt32 = 65_536

    /// The pattern as it was given.
    let source: String
    private let code: OpaquePointer

    /// Compiles a pattern.
    ///
    /// - Parameters:
    ///   - source: the pattern in Oniguruma's syntax, as in a `tokenizer.json`.
    ///   - key: what an error calls it.
    /// - Throws: `TokenizerError.malformed` with the compiler's message and position; `.unsupported` for what PCRE2 and
    ///   Oniguruma read differently.
    init(_ source: String, key: String = "pre_tokenizer.pattern") throws(TokenizerError) {
        self.source = source
        var errorNumber: Int32 = 0
        var errorOffset = 0
        guard source.utf8.count <= Self.longest else {
            throw .malformed(key: key, reason: "has \(source.utf8.count) bytes, expected at most \(Self.longest)")
        }
        let pattern = Array(try PatternSyntax.translated(source, key: key).utf8)
        // `^` and `$` match at each line, as in Oniguruma.
        let options = UInt32(PCRE2_UTF) | UInt32(PCRE2_UCP) | UInt32(PCRE2_MULTILINE) | UInt32(PCRE2_NEVER_BACKSLASH_C)
        guard
            let code = pcre2_compile_8(pattern, pattern.count, options, &errorNumber, &errorOffset, nil)
        else {
            let reason = Self.message(errorNumber)
            throw .malformed(key: key, reason: "\(reason) at byte \(errorOffset) of \(source.prefix(200))")
        }
        self.code = code
        // Without JIT, matching is slower but gives the same result, so a failure here is not an error.
        _ = pcre2_jit_compile_8(code, UInt32(PCRE2_JIT_COMPLETE))
    }

    deinit { pcre2_code_free_8(code) }

    /// The memory that matching needs, made once for all pieces of a text.
    final class Scratch {
        fileprivate let data: OpaquePointer?
        fileprivate let context: OpaquePointer?

        init() {
            data = pcre2_match_data_create_8(1, nil)
            context = pcre2_match_context_create_8(nil)
            if let context { _ = pcre2_set_heap_limit_8(context, PiecePattern.matchMemory) }
        }

        deinit {
            pcre2_match_data_free_8(data)
            pcre2_match_context_free_8(context)
        }
    }

    /// The matches in valid UTF-8, in order, as Oniguruma's iterator finds them: an empty match counts, except right
    /// behind another match.
    ///
    /// The text is matched on its own: what stands before and after it in memory is not seen.
    func matches(in text: UnsafeBufferPointer<UInt8>, _ scratch: Scratch) -> [Range<Int>] {
        guard let base = text.baseAddress, let data = scratch.data, let context = scratch.context,
            let ends = pcre2_get_ovector_pointer_8(data)
        else { return [] }
        // Backtracking over a whole text once, as patterns in use do over white space, stays far below this.
        pcre2_set_match_limit_8(context, UInt32(clamping: 10_000 + 16 * text.count))
        var found: [Range<Int>] = []
        var (place, lastEnd) = (0, -1)
        while place <= text.count {
            let count = pcre2_match_8(
                code,
                base,
                text.count,
                place,
                UInt32(PCRE2_NO_UTF_CHECK),
                data,
                context
            )
            guard count >= 0 else { break }
            let (start, end) = (ends[0], ends[1])
            guard place <= start, start <= end else { break }
            if start == end, start == lastEnd {
                // Nothing more here: on with the next character.
                place += 1
                while place < text.count, text[place] & 0xC0 == 0x80 { place += 1 }
                continue
            }
            found.append(start..<end)
            (place, lastEnd) = (end, end)
        }
        return found
    }

    private static func message(_ number: Int32) -> String {
        var buffer = [UInt8](repeating: 0, count: 256)
        let length = pcre2_get_error_message_8(number, &buffer, buffer.count)
        return String(decoding: buffer.prefix(max(0, Int(length))), as: UTF8.self)
    }
}
