import LanguageEngine
import Messages

/// Applies the limits of one answer.
extension AnsweringEngine {
    /// Fewer beams than this would make a single answer depend on a greedy first token.
    private static let leastWidth = 10

    /// Positions that a context takes in a text.
    var contextPositions: Int { adapter.configuration.contextPositions }

    // MARK: - Memory

    /// Size of the keys and values of one position, in bytes.
    var positionByteCount: Int { max(1, engine.pageByteCount / engine.configuration.pagePositions) }

    /// How many tokens fit in addition to the prompt.
    private func roomForTokens(after prompt: [Int32]) throws(AnswerError) -> Int {
        let most = limits.byteCount / positionByteCount - contextPositions
        guard prompt.count < most else {
            let fitting = most > 1 ? most - 1 : nil
            let excess = AnswerExcess(field: "text", value: "\(prompt.count) tokens long", fitting: fitting)
            throw .tooLarge(excess, byteLimit: limits.byteCount)
        }
        return most - prompt.count
    }

    /// Checks that the tokens of a free-text answer fit.
    func requireRoom(for request: AnswerRequest, _ prompt: [Int32]) throws(AnswerError) {
        let room = try roomForTokens(after: prompt)
        guard request.maximumTokens > room else { return }
        let excess = AnswerExcess(field: "maximum_tokens", value: "\(request.maximumTokens)", fitting: room)
        throw .tooLarge(excess, byteLimit: limits.byteCount)
    }

    /// The beam width of a search.
    ///
    /// - Throws: `AnswerError` when a search of this width does not fit.
    func width(
        for request: AnswerRequest,
        _ tree: RestrictedTree,
        _ prompt: [Int32]
    ) throws(AnswerError) -> Int {
        let most = min(
            try roomForTokens(after: prompt) / max(1, tree.tree.forkDepth),
            engine.widestSearch(promptLength: contextPositions + prompt.count, depth: tree.depth)
        )
        guard most >= Self.leastWidth else {
            let excess = AnswerExcess(field: "text", value: "\(prompt.count) tokens long")
            throw .tooLarge(excess, byteLimit: limits.byteCount)
        }
        // Nobody chose the number of categories; if there are very many, the most likely ones are still found.
        if request.form == .category { return min(tree.tree.leafCount, most) }
        guard request.itemCount > most else { return max(request.itemCount, Self.leastWidth) }
        let excess = AnswerExcess(field: "item_count", value: "\(request.itemCount)", fitting: most)
        throw .tooLarge(excess, byteLimit: limits.byteCount)
    }

    // MARK: - Time

    /// The error for an answer whose time is over.
    func failure(_ state: AnswerState, _ end: SequenceResult) -> AnswerError {
        if let deadline = state.deadline, deadline <= state.end { return .deadline }
        guard end.waitingTime != nil else { return .busy("and this one was not begun within \(limits.time)") }
        return .tooLong(excess(state, steps: end.generatedTokens), limit: limits.time)
    }

    /// What takes too long, after some steps of the answer; those of a search take time in proportion to its beams.
    private func excess(_ state: AnswerState, steps: Int) -> AnswerExcess {
        let (request, prompt) = (state.request, state.prompt)
        let tooMuchText = AnswerExcess(field: "text", value: "\(prompt.count) tokens long")
        guard !request.form.isText, let tree = state.tree else {
            if steps == 0 { return tooMuchText }
            return AnswerExcess(field: "maximum_tokens", value: "\(request.maximumTokens)", fitting: steps)
        }
        // Fewer items than the least width would not be found any faster.
        guard steps > 0, request.form != .category, request.itemCount > Self.leastWidth else { return tooMuchText }
        let fitting = max(Self.leastWidth, state.width * steps / max(1, tree.tree.forkDepth))
        return AnswerExcess(field: "item_count", value: "\(request.itemCount)", fitting: fitting)
    }
}

extension Engine {
    /// The widest beam search that the pages and settings allow.
    ///
    /// Beams share the full pages of their prompt; each has its own from there on.
    ///
    /// - Parameters:
    ///   - promptLength: positions of the prompt.
    ///   - depth: tokens of the longest answer.
    /// - Returns: beams, at least 1.
    func widestSearch(promptLength: Int, depth: Int) -> Int {
        let (positions, pages) = (configuration.pagePositions, configuration.pageCount)
        let shared = promptLength / positions
        let own = (promptLength + depth + positions - 1) / positions - shared
        return min(configuration.maximumBeams, max(1, (pages - shared) / max(own, 1)))
    }
}
