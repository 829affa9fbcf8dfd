/// A choice on the way to a given title, as language model and encoder see it.
public struct AnswerBranch: Sendable, Equatable {
    /// How many branches stand above it in the tree of all titles.
    public var depth: Int
    /// Which of the children leads to the title.
    public var taken: Int
    /// Natural logarithms of the language model's probabilities of the children among themselves.
    public var languageModel: [Float]
    /// The same of the encoder's; empty when nothing is known of the user.
    public var encoder: [Float]

    /// Describes a choice.
    public init(depth: Int, taken: Int, languageModel: [Float], encoder: [Float]) {
        self.depth = depth
        self.taken = taken
        self.languageModel = languageModel
        self.encoder = encoder
    }
}
