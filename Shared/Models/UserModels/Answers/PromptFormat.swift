public import Tokenization

/// The format of questions and answers for the language model.
///
/// `<|question|>What will the user watch next?<|answer|>Alien (1979)<|end|>`
public struct PromptFormat: Sendable {
    /// Precedes a question.
    public static let questionMark = "<|question|>"
    /// Separates a question from its answer.
    public static let answerMark = "<|answer|>"
    /// Ends an answer.
    public static let endMark = "<|end|>"
    /// Pads the shorter texts of a batch.
    public static let padMark = "<|pad|>"
    /// The special tokens a tokenizer is trained with, in the order of their ids.
    public static let specialTokens = [padMark, questionMark, answerMark, endMark]

    /// The tokenizer, whose vocabulary includes the markers.
    public let tokenizer: Tokenizer
    /// The token that ends an answer.
    public let end: Int32
    /// The token used for padding.
    public let pad: Int32
    private let question: Int32
    private let answer: Int32

    /// Looks up the markers in a tokenizer.
    ///
    /// - Throws: `ModelConfigurationError` naming a marker that the tokenizer does not have.
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

    /// Markers that must not appear in a text answer.
    var unwritable: Set<Int32> { [pad, question, answer] }

    /// Tokens of a question up to the start of its answer.
    public func prompt(_ text: String) -> [Int32] { [question] + plain(text) + [answer] }

    /// Tokens of an answer, without the end token.
    public func answer(_ text: String) -> [Int32] { plain(text) }

    /// The text of an answer's tokens, without the end token.
    public func text(_ tokens: some Sequence<Int32>) -> String { tokenizer.decode(tokens.filter { $0 != end }) }

    /// Tokens of user input.
    ///
    /// Markers in it are encoded as plain text, so that a question cannot end itself.
    private func plain(_ text: String) -> [Int32] { tokenizer.encode(text, matchesAddedTokens: false) }
}
