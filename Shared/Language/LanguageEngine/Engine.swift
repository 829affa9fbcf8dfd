import ModelFiles
public import Tokenization

/// Continues many texts at once with a language model: each step reads some positions of each in one pass.
///
/// A sequence joins between two steps and leaves when it is done. Prompts are read in pieces beside the running answers,
/// up to a number of positions a step. Keys and values lie in pages of one bounded pool; sequences with a common prefix
/// share its pages. When pages run out, the youngest running sequence gives its own back and begins again later, so the
/// oldest always goes on. What a sequence gets does not depend on the others: not one bit of its logits does.
///
/// Not `Sendable`: one actor on a thread of its own owns it, for `step` computes until its pass is done.
public final class Engine {
    /// The bounds and settings.
    public let configuration: EngineConfiguration
    /// One more than the last position of a text, soft prompt and answer included.
    public let maximumLength: Int

    let runner: ModelRunner
    let tokenizer: Tokenizer?
    let now: () -> ContinuousClock.Instant
    var pool: PagePool
    /// Sequences to be started, in the order of submission.
    var waiting: [SequenceState] = []
    /// Started sequences, in the order of submission.
    var running: [SequenceState] = []
    /// Events since the last step.
    var events: [SequenceEvent] = []
    var counts = EngineMetrics()
    private var nextNumber: UInt64 = 0

    /// Makes an engine.
    ///
    /// - Parameters:
    ///   - weights: the language model.
    ///   - adapter: reads contexts; nil for a model without.
    ///   - tokenizer: turns tokens into text; nil gives tokens alone.
    ///   - configuration: bounds and settings.
    ///   - now: the clock.
    /// - Throws: `EngineError.invalid` naming a setting that is out of range or does not fit the model.
    public init(
        weights: LanguageModelWeights,
        adapter: AdapterWeights? = nil,
        tokenizer: Tokenizer? = nil,
        configuration: EngineConfiguration = EngineConfiguration(),
        now: @escaping () -> ContinuousClock.Instant = { .now }
    ) throws(EngineError) {
        try configuration.validate()
        let shape = weights.configuration
        let storage = try PageStorage(
            format: configuration.cacheFormat,
            keyValueHeads: shape.keyValueHeads,
            headWidth: shape.headWidth,
            layers: shape.layers,
            positions: configuration.pagePositions,
            capacity: configuration.pageCount
        )
        let room = configuration.pageCount * configuration.pagePositions
        maximumLength = min(configuration.maximumLength ?? shape.maximumLength, shape.maximumLength, room)
        pool = PagePool(capacity: configuration.pageCount, positions: configuration.pagePositions)
        runner = try ModelRunner(
            weights: weights,
            adapter: adapter,
            storage: storage,
            maximumRows: configuration.positionsPerStep,
            maximumLength: maximumLength,
            team: try ThreadTeam(memberCount: configuration.threads)
        )
        self.configuration = configuration
        self.tokenizer = tokenizer
        self.now = now
    }

    /// Number of bytes of one page in all layers.
    public var pageByteCount: Int { runner.storage.pageByteCount }

    /// Whether there is nothing to do.
    public var isIdle: Bool { running.isEmpty && waiting.isEmpty && events.isEmpty }

    /// What the engine is doing and has done.
    public var metrics: EngineMetrics {
        var metrics = counts
        metrics.running = running.count
        metrics.waiting = waiting.count
        metrics.pagesInUse = pool.usedCount
        metrics.pagesCached = pool.cachedCount
        metrics.pagesTotal = pool.capacity
        metrics.multiplyAdds = runner.team.multiplyAdds
        return metrics
    }

    /// Takes a text to be continued; later steps do it.
    ///
    /// - Parameter request: what is wanted.
    /// - Returns: the name of the sequence in events.
    /// - Throws: `EngineError.invalid` naming a field that is out of range, or that could not be served even alone;
    ///   `EngineError.full` when too many sequences wait.
    public func submit(_ request: SequenceRequest) throws(EngineError) -> SequenceID {
        try validate(request)
        guard waiting.count < configuration.maximumWaiting || waiting.isEmpty && running.isEmpty else {
            throw .full(waiting: waiting.count)
        }
        let id = SequenceID(number: nextNumber)
        nextNumber += 1
        let width = runner.weights.configuration.width
        var writer: TextWriter?
        if let tokenizer { writer = TextWriter(tokenizer, stops: request.stopStrings, marks: request.passages?.marks) }
        waiting.append(
            SequenceState(
                id,
                request,
                reach: reach(of: request),
                softPrompt: request.softPrompt.map { SoftPrompt($0, width: width) },
                writer: writer,
                submitted: now()
            )
        )
        return id
    }

    /// Ends a sequence and frees its pages; its last event comes with the next step.
    ///
    /// Does nothing once it has ended.
    public func cancel(_ id: SequenceID) {
        if let state = (running + waiting).first(where: { $0.id == id }) { finish(state, .cancelled) }
    }

    /// Does one pass: looks at deadlines, starts waiting sequences, reads a piece of each prompt and one more token of
    /// each answer.
    ///
    /// - Returns: what it brought, each sequence's events in their order; nothing when the engine is idle.
    /// - Throws: `EngineError.invalid` when there is no memory for the pass; no sequence has changed then.
    public func step() throws(EngineError) -> [SequenceEvent] {
        let time = now()
        for state in running + waiting {
            if let deadline = state.request.deadline, deadline <= time { finish(state, .deadline) }
        }
        let pass = plan()
        if !pass.isEmpty {
            try read(pass)
            counts.steps += 1
        }
        defer { events.removeAll(keepingCapacity: true) }
        return events
    }

    /// Ends a sequence.
    func finish(_ state: SequenceState, _ reason: FinishReason) {
        if let rest = state.writer?.finish(isCut: reason == .length), !rest.isEmpty {
            events.append(.text(state.id, rest))
        }
        state.releasePages(to: &pool)
        running.removeAll { $0 === state }
        waiting.removeAll { $0 === state }
        state.result.reason = reason
        state.result.totalTime = now() - state.submitted
        events.append(.finished(state.id, state.result))
    }

    /// What a request's keys and values depend on besides its tokens.
    private func reach(of request: SequenceRequest) -> ContextReach {
        let isOpen = runner.adapter.map { !$0.layers.isEmpty } ?? false
        let soft = request.softPrompt.map { ContextIdentity(of: $0, as: .softPrompt) }
        guard let context = request.context, isOpen else {
            return soft.map { ContextReach(identity: $0, start: 0) } ?? .none
        }
        let identity = ContextIdentity(of: context, as: .crossAttention)
        if let soft { return ContextReach(identity: identity.joined(with: soft), start: 0) }
        return ContextReach(identity: identity, start: request.contextStart)
    }
}
