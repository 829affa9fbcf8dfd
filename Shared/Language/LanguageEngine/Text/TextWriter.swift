import Tokenization

/// Turns an answer's tokens into pieces of text with whole characters, and stops at a stop string.
struct TextWriter {
    private var decoder: StreamingDecoder
    private var matcher: StopMatcher

    /// Starts a text.
    init(_ tokenizer: Tokenizer, stops: [String]) {
        decoder = StreamingDecoder(tokenizer)
        matcher = StopMatcher(stops)
    }

    /// Takes the next token.
    ///
    /// - Returns: the text that became certain, often empty, and whether the token completed a stop string.
    mutating func append(_ token: Int32) -> StopMatcher.Output { matcher.append(decoder.append(token)) }

    /// Ends the text and gives the rest.
    mutating func finish() -> StopMatcher.Output {
        let last = matcher.append(decoder.finish())
        return last.isStopped ? last : StopMatcher.Output(text: last.text + matcher.finish(), isStopped: false)
    }
}
