public import Tokenization

/// The marks that open and close a passage of a text, and what keeps a model from writing anything else of them.
///
/// A model opens a passage by writing the opening mark, in whatever tokens: what counts is the text. A token with the
/// mark's end and more would write beyond it what no tree has been asked about, so it may not be chosen, and neither may
/// one that completes the closing mark, which stands at the end of passages alone.
public struct PassageMarks: Sendable {
    /// The text that opens a passage.
    public let opening: String
    /// The text that closes one.
    public let closing: String
    /// The closing mark's tokens, for the model to read.
    let closingTokens: [Int32]
    /// The tokens that may not follow, in ascending order, by the end of the text that may be the beginning of a mark.
    private let forbidden: [[UInt8]: [Int32]]

    /// Makes marks; looks at each token of the vocabulary once.
    ///
    /// - Precondition: the marks are not empty.
    public init(opening: String, closing: String, tokenizer: Tokenizer) {
        precondition(!opening.isEmpty && !closing.isEmpty, "the marks \"\(opening)\" and \"\(closing)\"")
        self.opening = opening
        self.closing = closing
        closingTokens = tokenizer.encode(closing, matchesAddedTokens: false)
        let (open, close) = (Array(opening.utf8), Array(closing.utf8))
        let ends = Set([open[open.count - 1], close[close.count - 1]])
        let candidates = (0..<Int32(clamping: tokenizer.vocabularySize)).compactMap { token in
            let bytes = tokenizer.bytes(of: token, skipsSpecialTokens: true)
            return bytes.contains(where: ends.contains) ? (token: token, bytes: bytes) : nil
        }
        let beginnings = open.indices.map { Array(open[..<$0]) } + close.indices.map { Array(close[..<$0]) }
        var forbidden: [[UInt8]: [Int32]] = [:]
        for beginning in beginnings where forbidden[beginning] == nil {
            let tokens = candidates.filter { Self.isForbidden(beginning + $0.bytes, open, close) }
            forbidden[beginning] = tokens.map(\.token)
        }
        self.forbidden = forbidden
    }

    /// The tokens that may not follow a text, in ascending order.
    ///
    /// - Parameter end: the longest end of the text that is the beginning of a mark.
    /// - Returns: the tokens.
    func tokens(forbiddenAfter end: [UInt8]) -> [Int32] { forbidden[end] ?? [] }

    /// Whether a text goes on after the opening mark, or has the closing one.
    private static func isForbidden(_ text: [UInt8], _ open: [UInt8], _ close: [UInt8]) -> Bool {
        text.indices.contains { start in
            let rest = text[start...]
            return rest.starts(with: close) || rest.count > open.count && rest.starts(with: open)
        }
    }
}
