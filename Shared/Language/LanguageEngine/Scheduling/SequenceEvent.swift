/// What a step of the engine brought to a sequence.
public enum SequenceEvent: Sendable, Equatable {
    /// The answer's next token; what ends an answer is none of its tokens.
    case token(SequenceID, GeneratedToken)
    /// Text that became certain, in whole characters; all pieces together are the answer, without its passages.
    case text(SequenceID, String)
    /// A passage that was closed, where the text is now: its answer, and how likely that was among all of the tree's.
    case passage(SequenceID, RankedLeaf)
    /// The last event of a sequence.
    case finished(SequenceID, SequenceResult)

    /// The sequence.
    public var id: SequenceID {
        switch self {
        case .token(let id, _), .text(let id, _), .passage(let id, _), .finished(let id, _): id
        }
    }
}

/// Why a sequence ended.
public enum FinishReason: Sendable, Equatable {
    /// With a stop token, a stop string, or as an answer of the tree.
    case stop
    /// With the most tokens allowed.
    case length
    /// It was cancelled.
    case cancelled
    /// Its deadline passed.
    case deadline
    /// It could not be computed, for this reason.
    case failed(String)
}

/// How a sequence ended, and what it took.
public struct SequenceResult: Sendable, Equatable {
    /// Why it ended.
    public var reason: FinishReason
    /// Tokens of the prompt.
    public var promptTokens = 0
    /// Of them, tokens found in the prefix cache when the sequence was started.
    public var cachedTokens = 0
    /// Tokens of the answer; the steps of a search for a beam search.
    public var generatedTokens = 0
    /// How often it had to begin again to make room for an older one.
    public var preemptions = 0
    /// From submission until it was started; nil if it never was.
    public var waitingTime: Duration?
    /// From submission until the first token, or the end of a beam search; nil if there was none.
    public var firstTokenTime: Duration?
    /// From submission to the end.
    public var totalTime = Duration.zero
    /// The tree's number of the answer, when it is one of a tree's.
    public var leaf: Int?
    /// The answers that a beam search found, most likely first.
    public var ranking: [RankedLeaf] = []
    /// The choices on the way to a given answer.
    public var branches: [ReadBranch] = []
}
