public import Catalogues
import Messages
import NeuralNetwork
import Tensors
import Tokenization

/// Answers questions, one at a time, each with its user's context.
///
/// Not `Sendable`: one actor on a `BlockingExecutor` owns it.
public final class AnsweringEngine {
    let languageModel: LanguageModel
    let adapter: UserAdapter
    private let features: EventFeatures
    private let catalogue: [Answer.Item]
    private let answers: KnownAnswers
    private let format: PromptFormat
    private let leafOfTitle: [Int]
    private let leafOfTitleInAll: [Int]
    let graph = Graph(recording: false, seed: 0)
    let limits: AnswerLimits

    /// Makes an engine.
    ///
    /// - Parameters:
    ///   - model: provides the adapter and the language model that answer.
    ///   - catalogue: the items.
    ///   - features: finds items by id.
    ///   - answers: titles and categories of the catalogue.
    ///   - format: the format of questions and answers.
    ///   - limits: the limits of one answer.
    /// - Throws: `ModelConfigurationError` when the language model's maximum length is too short for the longest title.
    public init(
        model: UserLanguageModel,
        catalogue: Catalogue,
        features: EventFeatures,
        answers: KnownAnswers,
        format: PromptFormat,
        limits: AnswerLimits = .none
    ) throws(ModelConfigurationError) {
        self.limits = limits
        languageModel = model.languageModel
        adapter = model.adapter
        self.features = features
        self.answers = answers
        self.format = format
        let length = languageModel.configuration.maximumLength
        try require(
            "max_position_embeddings",
            length,
            length >= answers.longest + 8,
            "room for a short question and the longest title's \(answers.longest) tokens"
        )
        self.catalogue = catalogue.items.map { Answer.Item(id: $0.id, title: $0.title, score: 0) }
        leafOfTitle = Self.leaves(answers.titles, count: catalogue.count)
        leafOfTitleInAll = Self.leaves(answers.all, count: catalogue.count)
    }

    /// The leaf of each item's title; -1 where a title is empty.
    private static func leaves(_ tree: PrefixTree, count: Int) -> [Int] {
        var result = [Int](repeating: -1, count: count)
        for leaf in 0..<tree.leafCount {
            for value in tree.values(ofLeaf: leaf) where value < count { result[value] = leaf }
        }
        return result
    }

    /// Answers a question.
    ///
    /// - Parameters:
    ///   - request: the question and the form of its answer. A temperature above 0 samples the text of an answer from
    ///     the catalogue among the best ones found; the ranking of items is not affected.
    ///   - context: the encoder's output for the user, shape [rows, columns]; nil answers without history.
    ///   - onToken: called with each piece of the answer as soon as it is certain.
    /// - Returns: the answer and how long it took.
    /// - Throws: `AnswerError` when the request or the context does not fit the model, or exceeds `limits`.
    public func answer(
        _ request: AnswerRequest,
        context: [Float]?,
        onToken: (String) -> Void = { _ in }
    ) throws(AnswerError) -> GeneratedAnswer {
        let clock = ContinuousClock()
        let start = clock.now
        let timer = AnswerTimer(limits)
        try validate(request)
        let prompt = try prompt(for: request)
        graph.reset()
        let context = try contextVariable(context)
        var writer = PieceWriter(tokenizer: format.tokenizer, end: format.end, clock: clock)
        var generator = SeededRandom(seed: request.seed)
        var items: [Answer.Item] = []
        if request.form == .text {
            try requireRoom(for: request, prompt)
            var decoding = try decoding(context, prompt, timer)
            do throws(DecodingStop) {
                try decoding.write(
                    atMost: request.maximumTokens,
                    end: format.end,
                    forbidden: format.unwritable,
                    temperature: request.temperature,
                    using: &generator
                ) { writer.write($0, onToken) }
            } catch {
                let written = decoding.stepCount + 1
                throw stopped(error, "maximum_tokens", "\(request.maximumTokens)", fitting: written)
            }
        } else {
            let (tree, excluded) = try allowed(request)
            let width = try width(for: request, tree, prompt)
            var decoding = try decoding(context, prompt, timer)
            let ranked: [RankedLeaf]
            do throws(DecodingStop) {
                ranked = try decoding.search(tree, width: width)
            } catch {
                throw stopped(error, searching: request, width, steps: decoding.stepCount, of: tree, prompt)
            }
            let pick = TextDecoding.draw(ranked.map(\.score), temperature: request.temperature, using: &generator)
            for token in tree.tree.sequence(ofLeaf: ranked[pick].leaf) { writer.write(token, onToken) }
            items = ranking(ranked, picked: ranked[pick], request, excluded)
        }
        writer.finish(onToken)
        let end = clock.now
        return GeneratedAnswer(
            text: writer.text,
            items: items,
            firstToken: (writer.firstPiece ?? end) - start,
            total: end - start
        )
    }

    private func validate(_ request: AnswerRequest) throws(AnswerError) {
        guard request.itemCount >= 1, request.itemCount <= max(catalogue.count, 1000) else {
            throw .invalid(field: "itemCount", value: "\(request.itemCount)", expected: "1 to the catalogue's size")
        }
        guard request.maximumTokens >= 1 else {
            throw .invalid(field: "maximumTokens", value: "\(request.maximumTokens)", expected: "at least 1")
        }
        guard request.temperature.isFinite, request.temperature >= 0 else {
            throw .invalid(field: "temperature", value: "\(request.temperature)", expected: "a number, at least 0")
        }
    }

    private func prompt(for request: AnswerRequest) throws(AnswerError) -> [Int32] {
        let prompt = format.prompt(request.text)
        let answerLength = request.form == .text ? request.maximumTokens : answers.longest
        let limit = languageModel.configuration.maximumLength - answerLength
        guard prompt.count <= limit else { throw .questionTooLong(tokens: prompt.count, limit: max(limit, 0)) }
        return prompt
    }

    private func contextVariable(_ context: [Float]?) throws(AnswerError) -> Variable {
        let shape = adapter.configuration.perceiver
        guard let context else { return adapter.perceiver.contextsWithoutHistory(graph, count: 1) }
        guard context.count == shape.latents * shape.width else {
            throw .contextSize(found: context.count, rows: shape.latents, columns: shape.width)
        }
        return graph.constant(context, shape: [1, shape.latents, shape.width])
    }

    /// The answers that remain allowed, and the excluded items.
    ///
    /// A title shared by several items stays as long as one of them is allowed.
    private func allowed(_ request: AnswerRequest) throws(AnswerError) -> (RestrictedTree, Set<Int>) {
        let excluded = Set((request.excludedItems ?? []).compactMap { features.index(ofItem: $0) })
        let (tree, leafOfItem) =
            switch request.form {
            case .title: (answers.titles, leafOfTitle)
            case .category: (answers.categories, [Int]())
            default: (answers.all, leafOfTitleInAll)
            }
        let leaves = leafOfItem.isEmpty ? [] : Set(excluded.map { leafOfItem[$0] }.filter { $0 >= 0 })
        let gone = leaves.filter { leaf in tree.values(ofLeaf: leaf).allSatisfy(excluded.contains) }
        let restricted = RestrictedTree(tree, without: gone)
        guard restricted.leafCount(below: PrefixTree.root) > 0 else { throw .nothingLeft }
        return (restricted, excluded)
    }

    /// The items of the ranked titles; none when the answer is a category.
    private func ranking(
        _ ranked: [RankedLeaf],
        picked: RankedLeaf,
        _ request: AnswerRequest,
        _ excluded: Set<Int>
    ) -> [Answer.Item] {
        if request.form == .category { return [] }
        let tree = request.form == .title ? answers.titles : answers.all
        func items(_ leaf: RankedLeaf) -> [Answer.Item] {
            tree.values(ofLeaf: leaf.leaf).filter { $0 < catalogue.count && !excluded.contains($0) }.map { index in
                Answer.Item(id: catalogue[index].id, title: catalogue[index].title, score: leaf.score)
            }
        }
        if items(picked).isEmpty { return [] }
        return Array(ranked.flatMap(items).prefix(request.itemCount))
    }
}

/// Converts tokens to pieces of text with whole characters, and records when the first one came.
private struct PieceWriter {
    private var decoder: StreamingDecoder
    private let end: Int32
    private let clock: ContinuousClock
    private(set) var text = ""
    private(set) var firstPiece: ContinuousClock.Instant?

    init(tokenizer: Tokenizer, end: Int32, clock: ContinuousClock) {
        decoder = StreamingDecoder(tokenizer)
        self.end = end
        self.clock = clock
    }

    mutating func write(_ token: Int32, _ emit: (String) -> Void) {
        if token != end { give(decoder.append(token), emit) }
    }

    mutating func finish(_ emit: (String) -> Void) { give(decoder.finish(), emit) }

    private mutating func give(_ piece: String, _ emit: (String) -> Void) {
        if piece.isEmpty { return }
        if firstPiece == nil { firstPiece = clock.now }
        text += piece
        emit(piece)
    }
}
