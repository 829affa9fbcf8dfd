/// A question about one user's timeline up to some event, with its answer: one training example of the language model.
public struct TrainingQuestion: Sendable {
    /// The set from which an answer's tokens are chosen, over which the loss is normalised.
    public enum Choice: String, Sendable, CaseIterable {
        /// Titles.
        case title
        /// Names of categories.
        case category
        /// Titles and names of categories.
        case known
        /// The whole vocabulary: plain language modelling of what is asked about the catalogue.
        case vocabulary
        /// The whole vocabulary too: a text that a user wrote.
        case text

        /// Whether the answer is one of those in a tree, of which there are few.
        var isKnown: Bool { self != .vocabulary && self != .text }
    }

    /// The index of its timeline in the batch; ignored without history.
    public let timeline: Int
    /// How many events of the timeline the answer may depend on; 0 asks without history.
    public let prefix: Int
    /// The question, and the part of the answer needed up to the last choice.
    public let tokens: [Int32]
    /// The number of tokens of the question.
    public let promptLength: Int
    /// Positions whose next token is learnt.
    public let positions: [Int32]
    /// The next token at each of `positions`.
    public let targets: [Int32]
    /// The tree node at each of `positions`; empty where the choice is the whole vocabulary.
    public let nodes: [PrefixTree.Node]
    /// The set from which the answer's tokens are chosen.
    public let choice: Choice
    /// Whether the answer is the title of the user's next item, so that the encoder's own predictions may guide it.
    public let asksForNextItem: Bool

    /// Makes a question; nil when the tree does not have the answer.
    ///
    /// Tokens that are determined by those before, because the tree has only one branch, are not learnt, and everything
    /// after the last real choice is dropped: an exact softmax over the answers with no work spent on spelling.
    ///
    /// - Parameters:
    ///   - prompt: tokens of the question, as `PromptFormat.prompt` gives them.
    ///   - answer: tokens of the answer without the end token.
    ///   - choice: the set from which the answer is chosen.
    ///   - answers: the trees.
    ///   - timeline: the index of its timeline in the batch.
    ///   - prefix: how many of its events the answer may depend on; 0 asks without history.
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
        promptLength = prompt.count
        positions = learnt.map { Int32(prompt.count - 1 + $0) }
        targets = learnt.map { sequence[$0] }
    }

    /// Makes a question whose answer is a text that a user wrote, of which every token is learnt, and none of the prompt's.
    ///
    /// - Parameters:
    ///   - prompt: tokens of the question, at least one.
    ///   - text: tokens of the text, at least one; with the end token if it is learnt that the text ends there.
    ///   - timeline: the index of its timeline in the batch.
    ///   - prefix: how many of its events the answer may depend on; 0 asks without history.
    public init(prompt: [Int32], text: [Int32], timeline: Int = 0, prefix: Int) {
        precondition(!prompt.isEmpty && !text.isEmpty, "\(prompt.count) tokens of a question, \(text.count) of a text")
        (self.timeline, self.prefix) = (timeline, prefix)
        (choice, asksForNextItem, nodes) = (.text, false, [])
        tokens = prompt + text.dropLast()
        promptLength = prompt.count
        positions = text.indices.map { Int32(prompt.count - 1 + $0) }
        targets = text
    }
}

extension TrainingQuestion {
    /// The tokens of the answer that are read.
    var answer: ArraySlice<Int32> { tokens[promptLength...] }

    /// Whether the encoder's predictions can guide this question.
    var isGuided: Bool { asksForNextItem && prefix > 0 && choice.isKnown }
}

extension KnownAnswers {
    /// The tree of a choice; nil where it is the whole vocabulary.
    public func tree(_ choice: TrainingQuestion.Choice) -> PrefixTree? {
        switch choice {
        case .title: titles
        case .category: categories
        case .known: all
        case .vocabulary, .text: nil
        }
    }
}

/// Timelines and the questions about them: one shard of a training step.
public struct UserQuestionBatch: Sendable {
    /// The timelines, with their next events when the encoder's own loss is included.
    public var timelines: NextEventBatch
    /// The questions; each refers to its timeline by index.
    public var questions: [TrainingQuestion]

    /// Makes a batch.
    public init(timelines: NextEventBatch, questions: [TrainingQuestion]) {
        self.timelines = timelines
        self.questions = questions
    }
}
