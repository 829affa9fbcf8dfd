package import ModelFiles

/// What the first token of an answer costs, in multiply-adds counted from the shapes of a model's parts.
///
/// A multiply-add is two floating-point operations. Products and attention are counted, as `EngineMetrics.multiplyAdds`
/// and `EncodingEngine.multiplyAdds` count what is executed.
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
    package var total: Int { encoding + context + crossAttention + languageModel }
    /// Without the encoder's work: what an answer costs whose user's row is there.
    package var withoutEncoding: Int { total - encoding }

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
        encoding =
            model.encoder.multiplyAdds(events: events)
            + adapter.perceiver.multiplyAdds(events: min(events, model.encoder.length))
        context = adapter.projectionMultiplyAdds + adapter.contextMultiplyAdds
        let first = adapter.contextFrom == .firstToken ? 0 : max(tokens - 1, 0)
        crossAttention = adapter.crossAttentionMultiplyAdds(positions: tokens - max(first, known))
        let all = adapter.contextPositions + tokens
        let start = known == 0 ? 0 : adapter.contextPositions + known
        self.languageModel = languageModel.multiplyAdds(positions: start..<all, logits: 1)
    }
}

extension UserAdapter.Configuration {
    /// Multiply-adds of projecting a row.
    package var projectionMultiplyAdds: Int { perceiver.latents * perceiver.width * languageModelWidth }

    /// Multiply-adds of a row's keys and values in every layer of cross-attention.
    package var contextMultiplyAdds: Int {
        2 * crossAttentionBlocks.count * perceiver.latents * languageModelWidth * innerWidth
    }

    /// Multiply-adds of cross-attention for positions of a text, once a row's keys and values are there.
    package func crossAttentionMultiplyAdds(positions: Int) -> Int {
        crossAttentionBlocks.count * positions * 2 * innerWidth * (languageModelWidth + perceiver.latents)
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
        // A position attends to itself and to all before it.
        let (first, end) = (positions.lowerBound, positions.upperBound)
        let keys = (end * (end + 1) - first * (first + 1)) / 2
        return layers * (positions.count * products + 2 * keys * q) + logits * D * vocabularySize
    }
}
