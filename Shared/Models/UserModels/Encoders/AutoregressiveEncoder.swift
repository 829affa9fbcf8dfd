package import ModelFiles
public import NeuralNetwork

/// Reads a timeline event by event and predicts the next one: a decoder-only Transformer over events.
///
/// Early fusion: the feature vectors of an event are combined into one vector of width `d`. Blocks are causal: softmax
/// attention with a feed-forward layer, or HSTU. The item head is tied to the item table.
///
/// Shapes: `B` timelines, `L` positions, `d` width, `V` items of the catalogue, `C` categories.
/// - Source: SASRec, arXiv 1808.09781, with the full cross-entropy of arXiv 2309.07602; HSTU, arXiv 2402.17152.
public final class AutoregressiveEncoder: EarlyFusionEncoder {
    /// The encoder's shape and loss.
    public typealias Configuration = EncoderConfiguration

    let predictor: EventPredictor

    /// Makes an encoder whose weights come from `weights`; see `EventTransformer` for the distributions of new ones.
    package init(
        configuration: EncoderConfiguration,
        weights: inout some WeightSource
    ) throws(ModelConfigurationError) {
        predictor = try EventPredictor(configuration, kind: .autoregressive, &weights)
    }

    /// The loss of predicting each next event.
    ///
    /// - Parameters:
    ///   - graph: records the operations.
    ///   - hidden: the output of `hidden(_:_:)` for `batch.events`, shape [B, L, d].
    ///   - batch: events and the events that followed; without negatives, the loss runs over the whole catalogue.
    ///   - targetCount: the divisor of the sum over events: the number of targets in all shards of the step.
    /// - Returns: a scalar: item cross-entropy plus the weighted losses of the other heads.
    public func loss(_ graph: Graph, hidden: Variable, _ batch: NextEventBatch, targetCount: Int) -> Variable {
        predictor.loss(graph, hidden: hidden, batch, targetCount: targetCount)
    }

    /// Encodes a batch and gives its loss; see `loss(_:hidden:_:targetCount:)`.
    public func loss(_ graph: Graph, _ batch: NextEventBatch, targetCount: Int) -> Variable {
        loss(graph, hidden: hidden(graph, batch.events), batch, targetCount: targetCount)
    }

    /// The hidden state of each timeline's last event, shape [B, d]; zeros for a timeline without events.
    public func lastHidden(_ graph: Graph, hidden: Variable, _ batch: EventBatch) -> Variable {
        predictor.transformer.last(graph, hidden: hidden, batch)
    }

    /// The hidden state of each timeline's last event, shape [B, d]; zeros for a timeline without events.
    public func states(_ graph: Graph, _ batch: EventBatch) -> Variable {
        lastHidden(graph, hidden: hidden(graph, batch), batch)
    }

    /// Scores every item of the catalogue as the next one.
    ///
    /// - Parameters:
    ///   - graph: runs the operations.
    ///   - lastHidden: hidden states, shape [M, d].
    /// - Returns: logits, shape [M, V].
    public func scores(_ graph: Graph, lastHidden: Variable) -> Variable { scores(graph, states: lastHidden) }
}
