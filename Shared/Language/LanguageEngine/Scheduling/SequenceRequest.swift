/// Identifies a sequence within its engine.
public struct SequenceID: Hashable, Sendable, Comparable {
    let number: UInt64

    /// Compares by the order of submission.
    public static func < (left: SequenceID, right: SequenceID) -> Bool { left.number < right.number }
}

/// A text to be continued.
public struct SequenceRequest: Sendable {
    /// How a tree of answers is searched.
    public enum TreeSearch: Sendable, Equatable {
        /// One answer, token by token, chosen by the sampling parameters among the tokens that the tree allows.
        case descent
        /// The likeliest answers, as many as the beam search is wide.
        case beams(width: Int)
        /// No search: a given answer of the tree is read, up to its last branch, and its branches are reported.
        case reading([Int32])
    }

    /// The prompt, at least one token.
    public var tokens: [Int32]
    /// The rows that cross-attention reads, projected to the language model's width, shape [K, D]; nil for none.
    public var context: [Float]?
    /// The first token of the prompt on which the context acts.
    ///
    /// What stands before it is read without the context, so that sequences with different contexts share it.
    public var contextStart = 0
    /// Rows that stand before the prompt's embeddings, shape [rows, D]; nil for none.
    public var softPrompt: [Float]?
    /// How tokens are chosen.
    public var sampling = SamplingParameters()
    /// The most tokens of the answer, at least 1.
    ///
    /// A tree's answers are as long as they are.
    public var maximumTokens = 128
    /// Tokens that end the answer and do not belong to it.
    public var stopTokens: Set<Int32> = []
    /// Texts that end the answer and do not belong to it; needs a tokenizer.
    public var stopStrings: [String] = []
    /// How many of the likeliest tokens are reported with each token, 0 for its own logarithm alone; nil for none.
    public var logProbabilities: Int?
    /// The only answers allowed; nil allows any text.
    public var tree: (any TokenTree)?
    /// Passages of a free text that are held to a tree of their own; needs a tokenizer.
    public var passages: TreePassages?
    /// How `tree` is searched.
    public var search = TreeSearch.descent
    /// When the answer is given up, unless it is complete.
    public var deadline: ContinuousClock.Instant?

    /// A request that continues tokens.
    public init(tokens: [Int32]) { self.tokens = tokens }
}
