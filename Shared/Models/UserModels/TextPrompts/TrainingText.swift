public import Messages
public import ModelFiles

/// A timeline as text, with the answers that are learnt in it: one training example of the text prompt.
public struct TrainingText: Sendable {
    /// The tokens of answers at which their tree branches, so that something is to be learnt.
    ///
    /// Together an exact softmax over the tree's answers, as in `TrainingQuestion`.
    public struct Choices: Sendable, Equatable {
        /// How many answers are learnt.
        public private(set) var answerCount = 0
        /// Positions of the text whose next token is chosen.
        public private(set) var positions: [Int32] = []
        /// The token that is right at each position.
        ///
        /// After a title of the list that is the end of an answer, whatever the text goes on with: where the same title is the
        /// answer, it ends there.
        public private(set) var targets: [Int32] = []
        /// The tree's node at each position.
        public private(set) var nodes: [PrefixTree.Node] = []

        /// Adds an answer whose first token is the text's token at `start`; one that the tree does not have is not learnt.
        mutating func add(_ answer: [Int32], at start: Int, in tree: PrefixTree) {
            let sequence = answer + [tree.end]
            guard !answer.isEmpty, let path = tree.path(of: sequence) else { return }
            answerCount += 1
            for index in sequence.indices where tree.tokens(after: path[index]).count > 1 {
                positions.append(Int32(start - 1 + index))
                targets.append(sequence[index])
                nodes.append(path[index])
            }
        }
    }

    /// The tokens of what a user wrote, each learnt over the whole vocabulary.
    public struct Written: Sendable, Equatable {
        /// Positions of the text whose next token is learnt.
        public private(set) var positions: [Int32] = []
        /// The next token at each of them.
        public private(set) var targets: [Int32] = []

        /// Nothing is learnt.
        init() {}

        /// A text's own tokens, the first of which stands at `start`.
        init(_ tokens: [Int32], at start: Int) {
            positions = tokens.indices.map { Int32(start - 1 + $0) }
            targets = tokens
        }
    }

    /// The text up to the last token from which something is learnt.
    public let tokens: [Int32]
    /// Titles, in the list or as the answer.
    public let titles: Choices
    /// The favourite category, if it is asked for.
    public let category: Choices
    /// The user's review, if it is asked for.
    public let review: Written

    /// Whether there is anything to be learnt.
    public var isEmpty: Bool { titles.positions.isEmpty && category.positions.isEmpty && review.positions.isEmpty }

    /// Makes a text; what follows the last position is not read.
    init(
        _ tokens: [Int32],
        titles: Choices = Choices(),
        category: Choices = Choices(),
        review: Written = Written()
    ) {
        let last = max(titles.positions.last ?? 0, category.positions.last ?? 0, review.positions.last ?? 0)
        self.tokens = Array(tokens.prefix(Int(last) + 1))
        (self.titles, self.category, self.review) = (titles, category, review)
    }

    /// The same text, of which some is read and not learnt.
    public func learning(titles isTitle: Bool, category isCategory: Bool) -> TrainingText {
        TrainingText(
            tokens,
            titles: isTitle ? titles : Choices(),
            category: isCategory ? category : Choices(),
            review: review
        )
    }
}

extension TimelineText {
    /// How many of a context's tokens are left for events, whatever is asked.
    public func room(in context: Int, answers: KnownAnswers) -> Int {
        let title = overhead(of: .nextTitle) + answers.titles.depth
        let category = overhead(of: .favouriteCategory) + answers.categories.depth
        return context - max(title, category)
    }

    /// A text that asks for every title of its list, and at its end for the favourite category among the listed events.
    ///
    /// - Parameters:
    ///   - events: the timeline, oldest first; as many of the latest as fit.
    ///   - answers: the trees of titles and categories.
    ///   - features: finds the categories of events.
    ///   - limit: the most tokens.
    /// - Returns: the text; items that the catalogue does not have are read, not asked for.
    /// - Throws: `ModelConfigurationError` naming `context` when not even the latest event fits.
    public func trainingText(
        _ events: some BidirectionalCollection<TimelineEvent>,
        answers: KnownAnswers,
        features: EventFeatures,
        tokens limit: Int
    ) throws(ModelConfigurationError) -> TrainingText {
        let room = limit - answers.categories.depth
        let prompt = try prompt(events, question: .favouriteCategory, tokens: room)
        let listed = features.indexed(Array(events.suffix(prompt.eventCount)))
        let titles = titles(of: listed, in: prompt, answers)
        var category = TrainingText.Choices()
        var tokens = prompt.tokens
        if let favourite = UserTask.favouriteCategories(of: listed).first {
            let answer = answers.tokens(ofCategory: Int(favourite))
            category.add(answer, at: tokens.count, in: answers.categories)
            tokens += answer
        }
        return TrainingText(tokens, titles: titles, category: category)
    }

    /// The titles of a list, each of which the one pass over a text learns.
    private func titles(
        of listed: [IndexedEvent],
        in prompt: Prompt,
        _ answers: KnownAnswers
    ) -> TrainingText.Choices {
        var titles = TrainingText.Choices()
        for (place, event) in zip(prompt.titles, listed) where event.item >= 0 && isWhole(title: Int(event.item)) {
            titles.add(answers.tokens(ofTitle: Int(event.item)), at: place.lowerBound, in: answers.titles)
        }
        return titles
    }

    /// A text that asks for what its user wrote after the events of its list.
    ///
    /// - Parameters:
    ///   - events: the timeline before what is asked about, oldest first; as many of the latest as fit.
    ///   - question: what is asked.
    ///   - review: tokens of what the user wrote, as `PromptFormat.target` gives them.
    ///   - answers: the tree of titles; those of the list are learnt, too.
    ///   - features: finds the items of events.
    ///   - limit: the most tokens.
    /// - Returns: the text.
    /// - Throws: `ModelConfigurationError` naming `context` when not even the latest event fits.
    public func reviewText(
        _ events: some BidirectionalCollection<TimelineEvent>,
        asking question: String,
        review: [Int32],
        answers: KnownAnswers,
        features: EventFeatures,
        tokens limit: Int
    ) throws(ModelConfigurationError) -> TrainingText {
        let prompt = try prompt(events, asking: question, tokens: limit - review.count)
        let listed = features.indexed(Array(events.suffix(prompt.eventCount)))
        return TrainingText(
            prompt.tokens + review,
            titles: titles(of: listed, in: prompt, answers),
            review: TrainingText.Written(review, at: prompt.tokens.count)
        )
    }

    /// A text that asks for the title after its list alone, as a user is asked about.
    ///
    /// - Parameters:
    ///   - events: the timeline, oldest first; as many of the latest as fit.
    ///   - item: the catalogue's number of the next item.
    ///   - answers: the tree of titles.
    ///   - limit: the most tokens.
    /// - Returns: the text.
    /// - Throws: `ModelConfigurationError` naming `context` when not even the latest event fits.
    public func questionText(
        _ events: some BidirectionalCollection<TimelineEvent>,
        next item: Int,
        answers: KnownAnswers,
        tokens limit: Int
    ) throws(ModelConfigurationError) -> TrainingText {
        let prompt = try prompt(events, tokens: limit - answers.titles.depth)
        let answer = answers.tokens(ofTitle: item)
        var titles = TrainingText.Choices()
        titles.add(answer, at: prompt.tokens.count, in: answers.titles)
        return TrainingText(prompt.tokens + answer, titles: titles)
    }
}
