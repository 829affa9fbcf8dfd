import Catalogues
public import LanguageEngine
import Messages
import ModelFiles
import NeuralNetwork
import Tensors

/// Answers many questions at once, each with its user's context.
///
/// Titles and categories are held to the catalogue by prefix trees and found by beam search. A text is free, but for the
/// titles in a text with titles: the model opens one with a mark and is held to the catalogue until it closes. Questions
/// join between two steps, and leave when they are answered, cancelled or out of time. What an answer says does not
/// depend on the others.
///
/// Not `Sendable`: one actor on a `BlockingExecutor` owns it.
public final class AnsweringEngine {
    let engine: Engine
    let adapter: UserAdapter
    let features: EventFeatures
    let catalogue: [Answer.Item]
    let answers: KnownAnswers
    let format: PromptFormat
    let limits: AnswerLimits
    /// What the encoder has to say; nil when the language model answers alone.
    let fusion: AnswerFusion?
    /// What titles stand between in a text.
    let titleMarks: PassageMarks
    let leafOfTitle: [Int]
    let leafOfTitleInAll: [Int]
    /// The rows of a user without events, shape [K, D].
    let rowsWithoutHistory: [Float]

    private var states: [SequenceID: AnswerState] = [:]
    private var sequences: [AnswerID: SequenceID] = [:]
    /// Events of other answers that came while `answer` waited for its own.
    private var held: [AnswerEvent] = []
    private var nextNumber: UInt64 = 0

    /// Makes an engine.
    ///
    /// - Parameters:
    ///   - weights: the language model.
    ///   - adapter: reads the context.
    ///   - sources: what is answered from.
    ///   - configuration: bounds and settings of the engine.
    ///   - limits: the limits of one answer.
    ///   - fusion: what the encoder has to say about titles; nil leaves them to the language model alone.
    /// - Throws: `ModelConfigurationError` when there is no room for the longest title; `EngineError` naming a setting that
    ///   is out of range; `LanguageModelWeightsError` for an adapter that cannot be packed.
    public init(
        weights: LanguageModelWeights,
        adapter: UserAdapter,
        sources: AnswerSources,
        configuration: EngineConfiguration = EngineConfiguration(),
        limits: AnswerLimits = .none,
        fusion: AnswerFusion? = nil
    ) throws {
        self.limits = limits
        self.fusion = fusion
        self.adapter = adapter
        features = sources.features
        answers = sources.answers
        format = sources.format
        engine = try Engine(
            weights: weights,
            adapter: adapter.weights(),
            tokenizer: format.tokenizer,
            configuration: configuration,
            now: limits.now
        )
        let needed = answers.leastPositions + adapter.configuration.contextPositions
        try require(
            "max_position_embeddings",
            engine.maximumLength,
            engine.maximumLength >= needed,
            "room for a short question and the longest title's \(answers.longest) tokens"
        )
        titleMarks = PassageMarks(
            opening: PromptFormat.titleMarks.opening,
            closing: PromptFormat.titleMarks.closing,
            tokenizer: format.tokenizer
        )
        rowsWithoutHistory = adapter.projected(adapter.perceiver.contextWithoutHistory)
        catalogue = sources.catalogue.items.map { Answer.Item(id: $0.id, title: $0.title, score: 0) }
        leafOfTitle = Self.leaves(answers.titles, count: catalogue.count)
        leafOfTitleInAll = Self.leaves(answers.all, count: catalogue.count)
    }

    /// Makes an engine of a model in memory, such as one that is being trained; its weights are copied.
    ///
    /// - Parameters:
    ///   - model: provides the adapter and the language model that answer.
    ///   - sources: what is answered from.
    ///   - configuration: bounds and settings of the engine.
    ///   - limits: the limits of one answer.
    ///   - fusion: how much the model's encoder has to say about titles; nil leaves them to the language model alone.
    /// - Throws: as the other initializer, and `ModelConfigurationError` naming a weight that is out of range.
    public convenience init(
        model: UserLanguageModel,
        sources: AnswerSources,
        configuration: EngineConfiguration = EngineConfiguration(),
        limits: AnswerLimits = .none,
        fusion: FusionWeights? = nil
    ) throws {
        let parameters = model.languageModel.parameters.map { ($0.name, $0.value) }
        let tensors = Dictionary(uniqueKeysWithValues: parameters)
        let weights = try LanguageModelWeights(configuration: model.languageModel.configuration) { tensors[$0]?.values }
        try self.init(
            weights: weights,
            adapter: model.adapter,
            sources: sources,
            configuration: configuration,
            limits: limits,
            fusion: fusion.map { try AnswerFusion($0, encoder: model.encoder, answers: sources.answers) }
        )
    }

    /// The leaf of each item's title; -1 where a title is empty.
    private static func leaves(_ tree: PrefixTree, count: Int) -> [Int] {
        var result = [Int](repeating: -1, count: count)
        for leaf in 0..<tree.leafCount {
            for value in tree.values(ofLeaf: leaf) where value < count { result[value] = leaf }
        }
        return result
    }

    /// Whether there is nothing to do and nothing to report.
    public var isIdle: Bool { engine.isIdle && held.isEmpty }

    /// What the engine is doing and has done.
    public var metrics: EngineMetrics { engine.metrics }

    /// Takes a question; later steps answer it.
    ///
    /// - Parameters:
    ///   - request: the question and the form of its answer. A temperature above 0 samples the text of an answer from the
    ///     catalogue among the best ones found; the ranking of items is not affected.
    ///   - context: the encoder's output for the user; nil answers without history.
    ///   - deadline: when the answer is given up, by the clock of the limits; nil for never.
    /// - Returns: the name of the answer in events.
    /// - Throws: `AnswerError` when the request or the context does not fit the model, needs more memory than the limits
    ///   allow, or must be asked again later.
    public func submit(
        _ request: AnswerRequest,
        context: UserContext?,
        deadline: ContinuousClock.Instant? = nil
    ) throws(AnswerError) -> AnswerID {
        var state = try state(for: request, context, deadline: deadline)
        let prior = try fusion?.prior(for: state, context)
        state.tree?.prior = prior
        let wanted = sequenceRequest(for: state, rows: try rows(of: context?.rows))
        let sequence: SequenceID
        do throws(EngineError) {
            sequence = try engine.submit(wanted)
        } catch {
            throw .of(error)
        }
        state.id = AnswerID(number: nextNumber)
        nextNumber += 1
        states[sequence] = state
        sequences[state.id] = sequence
        return state.id
    }

    /// Ends an answer.
    ///
    /// Its last event, a failure, comes with the next step. Does nothing once it has ended.
    public func cancel(_ id: AnswerID) {
        if let sequence = sequences[id] { engine.cancel(sequence) }
    }

    /// Does one pass of the engine.
    ///
    /// - Returns: what it brought, each answer's events in their order; nothing when the engine is idle.
    /// - Throws: `AnswerError.failed` when there is no memory for the pass, which says nothing about any question.
    public func step() throws(AnswerError) -> [AnswerEvent] {
        let events = held + (try advance())
        held = []
        return events
    }

    /// Answers a question, and goes on with others that were submitted.
    ///
    /// - Parameters:
    ///   - request: the question and the form of its answer.
    ///   - context: the encoder's output for the user; nil answers without history.
    ///   - onToken: called with each piece of the answer as soon as it is certain.
    /// - Returns: the answer and how long it took.
    /// - Throws: `AnswerError` when the request or the context does not fit the model, or exceeds the limits;
    ///   `.cancelled` when the task is.
    public func answer(
        _ request: AnswerRequest,
        context: UserContext?,
        onToken: (String) -> Void = { _ in }
    ) throws(AnswerError) -> GeneratedAnswer {
        let id = try submit(request, context: context)
        while true {
            if Task.isCancelled { cancel(id) }
            var result: Result<GeneratedAnswer, AnswerError>?
            for event in try advance() {
                switch event {
                case .piece(id, let text): onToken(text)
                case .finished(id, let end): result = end
                default: held.append(event)
                }
            }
            if let result { return try result.get() }
        }
    }

    /// Does one pass and turns its events into those of answers.
    private func advance() throws(AnswerError) -> [AnswerEvent] {
        let events: [SequenceEvent]
        do throws(EngineError) {
            events = try engine.step()
        } catch {
            throw .failed(error.description)
        }
        var result: [AnswerEvent] = []
        for event in events {
            guard let state = states[event.id] else { continue }
            switch event {
            case .token: break
            case .text(_, let piece): result += take(piece, event.id, state)
            case .passage(_, let title): result += take(title, event.id, state)
            case .finished(_, let end):
                states[event.id] = nil
                sequences[state.id] = nil
                result += finish(state, end)
            }
        }
        return result
    }

    /// Adds a piece to a text.
    private func take(_ piece: String, _ sequence: SequenceID, _ state: AnswerState) -> [AnswerEvent] {
        // The pieces of an answer from the catalogue are those of the chosen one.
        guard state.request.form.isText, !piece.isEmpty else { return [] }
        states[sequence]?.text += piece
        return [.piece(state.id, piece)]
    }

    /// Adds a title to a text, in the catalogue's spelling.
    private func take(_ title: RankedLeaf, _ sequence: SequenceID, _ state: AnswerState) -> [AnswerEvent] {
        // Of items with one title the user's likeliest is meant, or the catalogue's first.
        guard let item = items(title, state).reduce(nil, Self.likelier) else { return [] }
        if !state.items.contains(where: { $0.id == item.id }) { states[sequence]?.items.append(item) }
        return take(item.title, sequence, state)
    }

    private static func likelier(_ first: Answer.Item?, _ second: Answer.Item) -> Answer.Item {
        guard let first, first.score >= second.score else { return second }
        return first
    }
}

/// An answer in progress.
struct AnswerState {
    var id = AnswerID(number: 0)
    let request: AnswerRequest
    let prompt: [Int32]
    /// The answers that are allowed, or the titles that a text may name; nil for a text without.
    var tree: RestrictedTree?
    /// Indices of the items that may not be the answer.
    var excluded: Set<Int> = []
    /// The beam width of the search.
    var width = 0
    /// The tokens of a given item's title, with the one that ends it; nil when the answer is searched for.
    var given: [Int32]?
    /// When the limit of one answer is reached.
    let end: ContinuousClock.Instant
    /// Its own deadline.
    let deadline: ContinuousClock.Instant?
    /// The text so far.
    var text = ""
    /// The items that it names.
    var items: [Answer.Item] = []
}

extension AnswerError {
    /// What an engine's refusal means for a question.
    static func of(_ error: EngineError) -> AnswerError {
        switch error {
        case .invalid(let field, let value, let expected): .invalid(field: field, value: value, expected: expected)
        case .full(let waiting): .busy("\(waiting) of them wait to be begun")
        }
    }
}
