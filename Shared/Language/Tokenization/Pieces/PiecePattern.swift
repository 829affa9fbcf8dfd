import CPCRE2

/// Finds the matches of a pattern, which divide a text into pieces.
///
/// A pattern comes from a file, so its cost is bounded: its own length, the steps of all matches together in proportion to
/// the text, and the memory of a match. When a bound is hit, the rest of the text has no matches. Steps are those of PCRE2's
/// interpreter, so where that is does not depend on whether there is a compiler for the processor: compiled code, which
/// counts differently and has a small stack of its own, only runs published patterns, which come near no bound.
///
/// Thread-safe: a compiled pattern is never changed after compilation ("The compiled form of a pattern [...] is fixed
/// during matching, so it can be shared", pcre2api), and every call has its own match data.
final class PiecePattern: @unchecked Sendable {
    /// GPT-2's pattern, which Hugging Face's `ByteLevel` uses.
    static let gpt2 = #"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"#
    /// Llama 3's pattern.
    /// - Source: `tokenizer.json` of Meta-Llama-3-8B.
    static let llama3 = pattern(digits: #"\p{N}{1,3}"#)
    /// Qwen 2's pattern.
    /// - Source: `tokenizer.json` of Qwen2-0.5B.
    static let qwen2 = pattern(digits: #"\p{N}"#)
    /// Patterns that compiled code may run.
    ///
    /// They repeat no group, and go back over white space once at most: neither a bound on steps nor the stack of compiled
    /// code is ever reached. The interpreter takes three times as long for them.
    private static let published = [gpt2, llama3, qwen2]

    private static func pattern(digits: String) -> String {
        #"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|"# + digits
            + #"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"#
    }

    /// Maximum length of a pattern in bytes; those in use have a few hundred.
    private static let longest = 10_000
    /// Maximum memory of a match, in KiB.
    private static let matchMemory: UInt32 = 65_536
    /// Steps that a match at one place is tried with first; most pieces take fewer.
    private static let firstSteps = 64

    /// The pattern as it was given.
    let source: String
    private let code: OpaquePointer
    /// Whether compiled code runs it.
    let isCompiled: Bool

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
        // Without compiled code matching is slower but gives the same, so a failure here is not an error.
        isCompiled =
            Self.published.contains { $0.utf8.elementsEqual(source.utf8) }
            && pcre2_jit_compile_8(code, UInt32(PCRE2_JIT_COMPLETE)) == 0
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
        let call = Call(base: base, count: text.count, data: data, context: context, ends: ends)
        // Going back over a whole text a few times stays below this.
        var steps = 100_000 + 256 * text.count
        var found: [Range<Int>] = []
        var (place, lastEnd) = (0, -1)
        while place <= text.count {
            guard let match = isCompiled ? compiledMatch(call, from: place, &steps) : match(call, from: place, &steps),
                place <= match.lowerBound
            else { break }
            if match.isEmpty, match.lowerBound == lastEnd {
                // Nothing more here: on with the next character.
                place = Self.next(place, text)
                continue
            }
            found.append(match)
            (place, lastEnd) = (match.upperBound, match.upperBound)
        }
        return found
    }

    /// What a call of PCRE2 needs beside the pattern.
    private struct Call {
        let base: UnsafePointer<UInt8>
        let count: Int
        let data: OpaquePointer
        let context: OpaquePointer
        let ends: UnsafeMutablePointer<Int>

        var text: UnsafeBufferPointer<UInt8> { UnsafeBufferPointer(start: base, count: count) }

        /// The result of `pcre2_match`: at least 0 for a match, which lies in `range`.
        func run(_ code: OpaquePointer, at place: Int, options: UInt32, steps: Int) -> Int32 {
            pcre2_set_match_limit_8(context, UInt32(clamping: steps))
            return pcre2_match_8(code, base, count, place, UInt32(PCRE2_NO_UTF_CHECK) | options, data, context)
        }

        /// The match; nil where a pattern sets its start behind its end.
        var range: Range<Int>? { ends[0] <= ends[1] && ends[1] <= count ? ends[0]..<ends[1] : nil }
    }

    /// The first match from a place on, by compiled code.
    private func compiledMatch(_ call: Call, from place: Int, _ steps: inout Int) -> Range<Int>? {
        let result = call.run(code, at: place, options: 0, steps: steps)
        if result >= 0 { return call.range }
        // Whatever else ends compiled code says nothing about the text.
        return result == PCRE2_ERROR_NOMATCH ? nil : match(call, from: place, &steps)
    }

    /// The first match from a place on, by the interpreter; nil also when `steps` are used up.
    ///
    /// PCRE2 counts the steps from each place where a match may begin, and does not tell how many it took. So each place is
    /// tried by itself, with twice as many steps as long as they do not suffice: what is allowed is at most about four
    /// times what is needed, and counts.
    private func match(_ call: Call, from place: Int, _ steps: inout Int) -> Range<Int>? {
        let options = UInt32(PCRE2_ANCHORED) | UInt32(PCRE2_NO_JIT)
        var place = place
        while place <= call.count {
            var allowed = Self.firstSteps
            var result: Int32
            repeat {
                guard steps > 0 else { return nil }
                allowed = min(allowed, steps)
                result = call.run(code, at: place, options: options, steps: allowed)
                steps -= allowed
                allowed *= 2
            } while result == PCRE2_ERROR_MATCHLIMIT
            if result >= 0 { return call.range }
            // No memory, or more than is allowed.
            guard result == PCRE2_ERROR_NOMATCH else { return nil }
            place = Self.next(place, call.text)
        }
        return nil
    }

    /// The place of the next character.
    private static func next(_ place: Int, _ text: UnsafeBufferPointer<UInt8>) -> Int {
        var place = place + 1
        while place < text.count, text[place] & 0xC0 == 0x80 { place += 1 }
        return place
    }

    private static func message(_ number: Int32) -> String {
        var buffer = [UInt8](repeating: 0, count: 256)
        let length = pcre2_get_error_message_8(number, &buffer, buffer.count)
        return String(decoding: buffer.prefix(max(0, Int(length))), as: UTF8.self)
    }
}
