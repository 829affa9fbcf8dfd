package import ModelFiles

/// What the first token of an answer costs, in multiply-adds counted from the shapes of a model's parts.
///
/// A multiply-add is two floating-point operations. Products and attention are counted, as `EngineMetrics.multiplyAdds`
/// and `EncodingEngine.multiplyAdds` count what is executed. A count that an integer cannot hold is the greatest integer.
package struct AnswerCost: Sendable, Equatable {
    /// Encoder and Perceiver: from events to a row.
    package var encoding = 0
    /// The projection of the row, and its keys and values in every layer of cross-attention.
    package var context = 0
    /// Cross-attention of the prompt's positions.
    package var crossAttention = 0
    /// The language model's blocks, and its head for one position.
    package var languageModel = 0

    /// All of it.
    package var total: Int { CappedCount.sum(encoding, withoutEncoding) }
    /// Without the encoder's work: what an answer costs whose user's row is there.
    package var withoutEncoding: Int { CappedCount.sum(context, crossAttention, languageModel) }

    /// The cost of a prompt that a language model reads alone.
    ///
    /// - Parameters:
    ///   - tokens: the tokens of the prompt.
    ///   - known: how many of the first ones have keys and values already.
    ///   - model: the language model's shape.
    package init(tokens: Int, known: Int = 0, model: LanguageModelConfiguration) {
        languageModel = model.multiplyAdds(positions: known..<tokens, logits: 1)
    }

    /// The cost of a question about a user whose timeline is encoded.
    ///
    /// - Parameters:
    ///   - tokens: the tokens of the question.
    ///   - known: how many of the first ones have keys and values already.
    ///   - events: the events of the timeline.
    ///   - model: the shapes of all parts.
    package init(tokens: Int, known: Int = 0, events: Int, model: UserLanguageModel.Configuration) {
        let (adapter, languageModel) = (model.adapter, model.languageModel)
        encoding = CappedCount.sum(
            model.encoder.multiplyAdds(events: events),
            adapter.perceiver.multiplyAdds(events: min(events, model.encoder.length))
        )
        context = CappedCount.sum(adapter.projectionMultiplyAdds, adapter.contextMultiplyAdds)
        let first = adapter.contextFrom == .firstToken ? 0 : max(tokens - 1, 0)
        crossAttention = adapter.crossAttentionMultiplyAdds(positions: tokens - max(first, known))
        let all = adapter.contextPositions + tokens
        let start = known == 0 ? 0 : adapter.contextPositions + known
        self.languageModel = languageModel.multiplyAdds(positions: start..<all, logits: 1)
    }
}

extension UserAdapter.Configuration {
    /// Multiply-adds of projecting a row.
    package var projectionMultiplyAdds: Int {
        CappedCount.product(perceiver.latents, perceiver.width, languageModelWidth)
    }

    /// Multiply-adds of a row's keys and values in every layer of cross-attention.
    package var contextMultiplyAdds: Int {
        CappedCount.product(2, crossAttentionBlocks.count, perceiver.latents, languageModelWidth, innerWidth)
    }

    /// Multiply-adds of cross-attention for positions of a text, once a row's keys and values are there.
    package func crossAttentionMultiplyAdds(positions: Int) -> Int {
        let perPosition = CappedCount.product(2, innerWidth, languageModelWidth + perceiver.latents)
        return CappedCount.product(crossAttentionBlocks.count, positions, perPosition)
    }
}

extension LanguageModelConfiguration {
    /// Multiply-adds of reading positions of a text whose earlier ones have keys and values.
    ///
    /// - Parameters:
    ///   - positions: the positions.
    ///   - logits: of how many of them the vocabulary's logits are computed.
    /// - Returns: what the blocks and the head do.
    package func multiplyAdds(positions: Range<Int>, logits: Int) -> Int {
        let (D, q, kv) = (width, heads * headWidth, keyValueHeads * headWidth)
        let products = 2 * D * q + 2 * D * kv + 3 * D * feedForwardWidth
        // A position attends to itself and to all before it, so this is twice the number of keys.
        let keys = CappedCount.product(positions.count, positions.lowerBound + positions.upperBound + 1)
        let blocks = CappedCount.sum(CappedCount.product(positions.count, products), CappedCount.product(keys, q))
        return CappedCount.sum(CappedCount.product(layers, blocks), CappedCount.product(logits, D, vocabularySize))
    }
}
