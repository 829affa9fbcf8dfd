import Tokenization

/// Turns an answer's tokens into pieces of text with whole characters, stops at a stop string, and takes out the marks
/// that open passages.
struct TextWriter {
    /// What a token adds to a text.
    struct Output: Equatable {
        /// The text that became certain, often empty.
        var text: String
        /// Whether the token completed a stop string.
        var isStopped = false
        /// Whether the token completed a mark that opens a passage.
        var opensPassage = false
    }

    private var decoder: StreamingDecoder
    private var matcher: StopMatcher
    /// Finds the marks of passages; nil in a text without.
    private var marks: StopMatcher?

    /// Starts a text.
    init(_ tokenizer: Tokenizer, stops: [String], marks: PassageMarks? = nil) {
        decoder = StreamingDecoder(tokenizer)
        matcher = StopMatcher(stops)
        self.marks = marks.map { StopMatcher([$0.opening, $0.closing]) }
    }

    /// The longest end of the text that is the beginning of a mark.
    var unfinishedMark: [UInt8] { marks?.held ?? [] }

    /// Takes the next token.
    mutating func append(_ token: Int32) -> Output {
        let piece = decoder.append(token)
        let unmarked = marks?.append(piece) ?? StopMatcher.Output(text: piece, isStopped: false)
        let output = matcher.append(unmarked.text)
        if output.isStopped { return Output(text: output.text, isStopped: true) }
        // A stop string does not go on in a passage: what was held back for one is none.
        return unmarked.isStopped
            ? Output(text: output.text + matcher.finish(), opensPassage: true) : Output(text: output.text)
    }

    /// Ends the text and gives the rest.
    ///
    /// - Parameter isCut: whether more would have come; then the beginning of a mark is left out.
    /// - Returns: the rest, often empty.
    mutating func finish(isCut: Bool) -> String {
        var rest = decoder.finish()
        if var marks {
            rest = marks.append(rest).text + (isCut ? "" : marks.finish())
            self.marks = nil
        }
        let last = matcher.append(rest)
        return last.isStopped ? last.text : last.text + matcher.finish()
    }
}
