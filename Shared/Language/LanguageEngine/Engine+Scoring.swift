import CLanguageKernels
import ModelFiles

extension Engine {
    /// Natural logarithms of the probabilities of a text's tokens, each given those before it; for perplexities.
    ///
    /// Takes pages beside those of running sequences and gives them back.
    ///
    /// - Parameter tokens: the text.
    /// - Returns: a logarithm for each token after the first.
    /// - Throws: `EngineError.invalid` when the text is empty, too long, has a token that the model does not know, or
    ///   needs more pages than are free; or when there is no memory for a pass.
    public func logProbabilities(of tokens: [Int32]) throws(EngineError) -> [Float] {
        let V = runner.weights.configuration.vocabularySize
        let length = tokens.count
        try check("tokens", "\(length) tokens", (1...maximumLength).contains(length), "from 1 to \(maximumLength)")
        for token in tokens { try check("tokens", token, token >= 0 && Int(token) < V, "tokens below \(V)") }
        var table = PageTable()
        defer { table.release(to: &pool) }
        let storage = runner.storage
        guard table.reserve(to: length, in: &pool, copy: { storage.copy($0, to: $1) }) else {
            let expected = "\(pool.pageCount(for: length)) free pages, or a shorter text"
            throw .invalid(field: "tokens", value: "\(length) tokens", expected: expected)
        }
        var result: [Float] = []
        while table.length < length {
            let start = table.length
            let end = min(start + configuration.positionsPerStep, length)
            let segment = Segment(
                tokens: tokens[start..<end],
                softPrompt: nil,
                firstPosition: start,
                pages: table.pages,
                context: nil,
                logitCount: end - start
            )
            try runner.run([segment]) { index, logits in
                guard start + index + 1 < length else { return }
                let logSum = lk_log_sum_exp(logits.baseAddress, Int64(V))
                result.append(logits[Int(tokens[start + index + 1])] - logSum)
            }
            table.commit(to: end, tokens: [], reach: .none, in: &pool)
        }
        return result
    }
}
