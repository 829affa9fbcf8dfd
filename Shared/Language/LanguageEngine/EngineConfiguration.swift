/// The bounds and settings of an engine.
public struct EngineConfiguration: Sendable, Equatable {
    /// Sequences that are read or continued at the same time.
    public var maximumRunning = 32
    /// Sequences that wait to be started; more are refused.
    public var maximumWaiting = 1024
    /// Positions of all texts that one step reads: what a new question delays the running answers by at most.
    public var positionsPerStep = 512
    /// Positions in a page of keys and values: a multiple of 16, up to 256.
    ///
    /// Texts share a prefix page by page, so small ones share more and large ones cost less to keep track of.
    public var pagePositions = 32
    /// Number of pages; a page's size is `Engine.pageByteCount`.
    public var pageCount = 1024
    /// How keys and values are kept.
    public var cacheFormat = CacheFormat.bfloat16
    /// One more than the last position of a text; nil takes the model's own limit.
    public var maximumLength: Int?
    /// Threads that compute, the caller's included.
    public var threads = 2
    /// The widest beam search.
    public var maximumBeams = 1024

    /// The defaults.
    public init() {}

    func validate() throws(EngineError) {
        let counts = 1...1_048_576
        try check("maximumRunning", maximumRunning, counts.contains(maximumRunning), "from 1 to \(counts.upperBound)")
        let isWaiting = (0...counts.upperBound).contains(maximumWaiting)
        try check("maximumWaiting", maximumWaiting, isWaiting, "from 0 to \(counts.upperBound)")
        let isStep = (1...65_536).contains(positionsPerStep)
        try check("positionsPerStep", positionsPerStep, isStep, "from 1 to 65536")
        try check("maximumBeams", maximumBeams, counts.contains(maximumBeams), "from 1 to \(counts.upperBound)")
        let length = maximumLength ?? 1
        try check("maximumLength", length, (1...16_777_216).contains(length), "from 1 to 16777216")
    }
}
