import Messages
import NeuralNetwork

/// Applies the limits of one answer.
extension AnsweringEngine {
    /// Fewer beams than this would make a single answer depend on a greedy first token.
    private static let leastWidth = 10

    /// Reads the prompt.
    func decoding(
        _ context: Variable,
        _ prompt: [Int32],
        _ timer: AnswerTimer
    ) throws(AnswerError) -> TextDecoding {
        do throws(DecodingStop) {
            return try TextDecoding(
                graph,
                languageModel: languageModel,
                adapter: adapter,
                context: context,
                prompt: prompt,
                timer: timer
            )
        } catch {
            throw stopped(error, "text", "\(prompt.count) tokens long", fitting: nil)
        }
    }

    // MARK: - Memory

    /// How many tokens fit in addition to the prompt.
    private func roomForTokens(after prompt: [Int32]) throws(AnswerError) -> Int {
        let most = limits.byteCount / languageModel.cachedByteCount
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
        let most = try roomForTokens(after: prompt) / max(1, tree.tree.forkDepth)
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

    /// The error for a decoding that was stopped early.
    func stopped(_ stop: DecodingStop, _ field: String, _ value: String, fitting: Int?) -> AnswerError {
        switch stop {
        case .cancelled: .cancelled
        case .timeIsOver:
            .tooLong(AnswerExcess(field: field, value: value, fitting: fitting), limit: limits.time)
        }
    }

    /// The same for a search that has completed some of its steps; the time of a step is proportional to its beams.
    func stopped(
        _ stop: DecodingStop,
        searching request: AnswerRequest,
        _ width: Int,
        steps: Int,
        of tree: RestrictedTree,
        _ prompt: [Int32]
    ) -> AnswerError {
        // Fewer items than the least width would not be found any faster.
        guard request.form != .category, request.itemCount > Self.leastWidth else {
            return stopped(stop, "text", "\(prompt.count) tokens long", fitting: nil)
        }
        let fitting = max(Self.leastWidth, width * steps / max(1, tree.tree.forkDepth))
        return stopped(stop, "item_count", "\(request.itemCount)", fitting: fitting)
    }
}
