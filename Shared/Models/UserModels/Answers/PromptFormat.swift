public import Tokenization

/// How questions and answers are written for the language model.
///
/// `<|question|>What will the user watch next?<|answer|>Alien (1979)<|end|>`
public struct PromptFormat: Sendable {
    /// Stands before a question.
    public static let questionMark = "<|question|>"
    /// Stands between a question and its answer.
    public static let answerMark = "<|answer|>"
    /// Ends an answer.
    public static let endMark = "<|end|>"
    /// Fills up shorter texts of a batch.
    public static let padMark = "<|pad|>"
    /// What a tokenizer is trained with, in the order of their ids.
    public static let specialTokens = [padMark, questionMark, answerMark, endMark]

    /// The tokenizer that knows the marks.
    public let tokenizer: Tokenizer
    /// Token that ends an answer.
    public let end: Int32
    /// Token that fills up.
    public let pad: Int32
    private let question: Int32
    private let answer: Int32

    /// Finds the marks in a tokenizer.
    ///
    /// - Throws: `ModelConfigurationError` naming a mark that the tokenizer does not have.
    public init(tokenizer: Tokenizer) throws(ModelConfigurationError) {
        func id(_ mark: String) throws(ModelConfigurationError) -> Int32 {
            guard let id = tokenizer.id(of: mark) else {
                throw ModelConfigurationError(
                    key: "tokenizer.json added_tokens",
                    value: "without \(mark)",
                    expected: "a tokenizer trained with the special tokens \(Self.specialTokens)"
                )
            }
            return id
        }
        self.tokenizer = tokenizer
        end = try id(Self.endMark)
        pad = try id(Self.padMark)
        question = try id(Self.questionMark)
        answer = try id(Self.answerMark)
    }

    /// Marks that a text answer may not have in it.
    var unwritable: Set<Int32> { [pad, question, answer] }

    /// Tokens of a question up to where its answer begins.
    public func prompt(_ text: String) -> [Int32] { [question] + plain(text) + [answer] }

    /// Tokens of an answer, without the end token.
    public func answer(_ text: String) -> [Int32] { plain(text) }

    /// The text of an answer's tokens; the end token has none.
    public func text(_ tokens: some Sequence<Int32>) -> String { tokenizer.decode(tokens.filter { $0 != end }) }

    /// Tokens of what somebody wrote.
    ///
    /// Marks in it are read as plain text, so that a question cannot end itself.
    private func plain(_ text: String) -> [Int32] { tokenizer.encode(text, matchesAddedTokens: false) }
}
