package import ModelFiles
public import NeuralNetwork

/// Reads a timeline in both directions and predicts masked events.
///
/// Training masks some events of a window; to predict the next event, a masked event is appended. The features of an
/// event are fused early. The item head is tied to the item table.
///
/// Shapes: `B` timelines, `L` positions, `d` width, `V` items of the catalogue.
/// - Source: BERT4Rec, arXiv 1904.06690.
public final class MaskedEncoder: EarlyFusionEncoder {
    let predictor: EventPredictor

    /// Makes an encoder whose weights come from `weights`; see `EventTransformer` for the distributions of new ones.
    package init(
        configuration: EncoderConfiguration,
        weights: inout some WeightSource
    ) throws(ModelConfigurationError) {
        predictor = try EventPredictor(configuration, kind: .masked, &weights)
    }

    /// The hidden state of a masked event appended to each timeline, shape [B, d].
    public func states(_ graph: Graph, _ batch: EventBatch) -> Variable {
        let asked = batch.appendingMask()
        return predictor.transformer.last(graph, hidden: predictor.transformer(graph, asked), asked)
    }

    /// Makes a training batch of windows in which some events are masked.
    public func trainingBatch(
        _ windows: [ArraySlice<IndexedEvent>],
        using generator: inout some RandomNumberGenerator
    ) -> NextEventBatch {
        var batch = NextEventBatch(
            masking: windows,
            share: configuration.maskedShare,
            lastShare: configuration.lastMaskedShare,
            using: &generator
        )
        batch.events.hideItems(
            probability: configuration.hiddenItemShare,
            buckets: configuration.features.unknownItemBuckets,
            using: &generator
        )
        return batch
    }

    /// The loss of predicting each masked event: item cross-entropy plus the weighted losses of the other heads.
    public func loss(_ graph: Graph, _ batch: NextEventBatch, targetCount: Int) -> Variable {
        predictor.loss(graph, hidden: hidden(graph, batch.events), batch, targetCount: targetCount)
    }
}
