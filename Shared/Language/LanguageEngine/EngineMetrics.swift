/// What an engine is doing, and what it has done since it was made.
public struct EngineMetrics: Sendable, Equatable {
    /// Sequences that are read or continued.
    public var running = 0
    /// Sequences that wait to be started, or to be started again.
    public var waiting = 0
    /// Pages that running sequences use.
    public var pagesInUse = 0
    /// Pages that hold a known prefix which nobody uses now.
    public var pagesCached = 0
    /// Pages in all.
    public var pagesTotal = 0
    /// Prompt tokens of the sequences that were started.
    public var promptTokens = 0
    /// Of them, tokens whose keys and values were found in the prefix cache.
    public var cachedPromptTokens = 0
    /// Sequences that found a part of their prompt in the prefix cache when they were started.
    public var prefixHits = 0
    /// Tokens of answers.
    public var generatedTokens = 0
    /// How often a running sequence had to give its pages to an older one.
    public var preemptions = 0
    /// Passes through the model.
    public var steps = 0
    /// Positions that passes read; above prompt and answer tokens, positions that were read again after preemptions.
    public var positions = 0

    /// Multiply-adds of products and attention, those with contexts included; half of the floating-point operations.
    public var multiplyAdds = 0

    /// What an engine shows that has done nothing.
    public init() {}
}
