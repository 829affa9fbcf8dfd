/// A sequence that waits or runs.
final class SequenceState {
    let id: SequenceID
    let request: SequenceRequest
    let reach: ContextReach
    let submitted: ContinuousClock.Instant
    /// Positions that a soft prompt takes.
    let softCount: Int

    /// The text so far: a place for each row of the soft prompt, the prompt, the answer.
    var tokens: [Int32]
    /// The text's keys and values; positions from `table.length` on are still to be read.
    var table = PageTable()
    /// Keys and values of the context; made when the sequence is started.
    var context: PreparedContext?
    var softPrompt: SoftPrompt?
    var sampler: Sampler
    var writer: TextWriter?
    /// The tree's node after the answer so far, or after the open passage's tokens.
    var node: Int32 = 0
    /// The natural logarithm of an open passage's probability so far; nil while the text is free.
    var passageScore: Float?
    /// The search of the tree; nil when it is no beam search.
    var beams: BeamState?
    /// What was chosen in this step.
    var next: NextToken?
    /// What is known about the end.
    var result = SequenceResult(reason: .stop)
    var isStarted = false

    /// Stands for a position of the soft prompt.
    static let softToken: Int32 = -1

    init(
        _ id: SequenceID,
        _ request: SequenceRequest,
        reach: ContextReach,
        softPrompt: SoftPrompt?,
        writer: TextWriter?,
        submitted: ContinuousClock.Instant
    ) {
        self.id = id
        self.request = request
        self.reach = reach
        self.softPrompt = softPrompt
        self.writer = writer
        self.submitted = submitted
        softCount = softPrompt?.count ?? 0
        tokens = [Int32](repeating: Self.softToken, count: softCount) + request.tokens
        sampler = Sampler(request.sampling, prompt: request.tokens)
        result.promptTokens = request.tokens.count
        if let tree = request.tree { node = tree.root }
        restartSearch()
    }

    /// Positions of the text that are still to be read before the next token can be chosen.
    var pendingCount: Int { tokens.count - table.length }

    /// Gives all pages back.
    func releasePages(to pool: inout PagePool) {
        table.release(to: &pool)
        for index in (beams?.tables ?? []).indices { beams?.tables[index].release(to: &pool) }
    }

    /// Begins the search of a tree, if there is one, from the prompt again.
    func restartSearch() {
        guard let tree = request.tree, case .beams(let width) = request.search else { return }
        beams = BeamState(search: BeamSearch(tree, width: width))
        result.generatedTokens = 0
    }
}

/// A beam search and its texts.
struct BeamState {
    var search: BeamSearch
    /// The pages of each beam; empty until the prompt is read.
    var tables: [PageTable] = []
    /// For the beams that were read in this step of the search, the logarithms of their allowed tokens.
    var logs: [[Float]] = []

    /// Beams that are still to be read.
    var pending: Range<Int> { logs.count..<tables.count }
}
