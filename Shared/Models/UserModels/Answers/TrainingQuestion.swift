/// A question about one user's timeline, up to some event, with its answer: one target of the language model.
public struct TrainingQuestion: Sendable {
    /// What an answer's tokens are chosen from, which is what the loss is normalised over.
    public enum Choice: String, Sendable, CaseIterable {
        /// Titles.
        case title
        /// Names of categories.
        case category
        /// Titles and names of categories.
        case known
        /// The whole vocabulary: plain language modelling.
        case vocabulary
    }

    /// Which timeline of the batch it is about; ignored without history.
    public let timeline: Int
    /// How many events of the timeline the answer may know; 0 asks without history.
    public let prefix: Int
    /// Question, and as much of the answer as the last choice follows from.
    public let tokens: [Int32]
    /// Positions whose next token is learnt.
    public let positions: [Int32]
    /// The next token at each of `positions`.
    public let targets: [Int32]
    /// The node of the tree at each of `positions`; empty for `vocabulary`.
    public let nodes: [PrefixTree.Node]
    /// What the answer's tokens are chosen from.
    public let choice: Choice
    /// Whether the answer is the title of the user's next item, so that the encoder's own expectation may guide it.
    public let asksForNextItem: Bool

    /// Makes a question; nil when the tree does not have the answer.
    ///
    /// Tokens that follow from those before, because the tree has one way on, are not learnt, and what stands behind
    /// the last real choice is left out: an exact softmax over the answers with no work spent on spelling.
    ///
    /// - Parameters:
    ///   - prompt: tokens of the question, as `PromptFormat.prompt` gives them.
    ///   - answer: tokens of the answer without the end token.
    ///   - choice: what the answer is chosen from.
    ///   - answers: the trees.
    ///   - timeline: which timeline of the batch it is about.
    ///   - prefix: how many of its events the answer may know; 0 asks without history.
    ///   - asksForNextItem: whether the answer is the title of the user's next item.
    public init?(
        prompt: [Int32],
        answer: [Int32],
        choice: Choice,
        answers: KnownAnswers,
        timeline: Int = 0,
        prefix: Int,
        asksForNextItem: Bool = false
    ) {
        let sequence = answer + [answers.titles.end]
        var nodes: [PrefixTree.Node] = []
        var learnt = Array(sequence.indices)
        if let tree = answers.tree(choice) {
            guard let path = tree.path(of: sequence) else { return nil }
            learnt = learnt.filter { tree.tokens(after: path[$0]).count > 1 }
            nodes = learnt.map { path[$0] }
        }
        guard let last = learnt.last else { return nil }
        self.timeline = timeline
        self.prefix = prefix
        self.choice = choice
        self.asksForNextItem = asksForNextItem
        self.nodes = nodes
        tokens = prompt + sequence[..<last]
        positions = learnt.map { Int32(prompt.count - 1 + $0) }
        targets = learnt.map { sequence[$0] }
    }
}

extension TrainingQuestion {
    /// Whether there is an expectation of the encoder to follow.
    var isGuided: Bool { asksForNextItem && prefix > 0 && choice != .vocabulary }
}

extension KnownAnswers {
    /// The tree of a choice; nil for the whole vocabulary.
    public func tree(_ choice: TrainingQuestion.Choice) -> PrefixTree? {
        switch choice {
        case .title: titles
        case .category: categories
        case .known: all
        case .vocabulary: nil
        }
    }
}

/// Timelines and the questions about them: one shard's work in a training step.
public struct UserQuestionBatch: Sendable {
    /// The timelines, with their next events when the encoder's own loss takes part.
    public var timelines: NextEventBatch
    /// The questions; each names its timeline.
    public var questions: [TrainingQuestion]

    /// Makes a batch.
    public init(timelines: NextEventBatch, questions: [TrainingQuestion]) {
        self.timelines = timelines
        self.questions = questions
    }
}
