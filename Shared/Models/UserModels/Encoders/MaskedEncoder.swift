public import ModelFiles
public import NeuralNetwork
public import Tensors

/// Reads a timeline in both directions and predicts masked events.
///
/// Training masks some events of a window; to predict the next event, a masked event is appended. The features of an
/// event are fused early. The item head is tied to the item table.
///
/// Shapes: `B` timelines, `L` positions, `d` width, `V` items of the catalogue.
/// - Source: BERT4Rec, arXiv 1904.06690.
public final class MaskedEncoder: UserEncoder {
    /// The encoder's shape and loss.
    public let configuration: EncoderConfiguration

    private let predictor: EventPredictor

    /// Every weight, in checkpoint order.
    public var parameters: [Parameter] { predictor.parameters }

    /// Makes an encoder with random weights; see `EventTransformer` for their distributions.
    ///
    /// - Throws: `ModelConfigurationError` naming the value that is out of range.
    public convenience init(
        configuration: EncoderConfiguration,
        using generator: inout some RandomNumberGenerator
    ) throws(ModelConfigurationError) {
        var drawn = DrawnWeights(generator)
        defer { generator = drawn.generator }
        try self.init(configuration: configuration, weights: &drawn)
    }

    /// Makes an encoder from the weights in a file, whose names and shapes are checked against the configuration first.
    ///
    /// - Throws: `ModelConfigurationError` naming the value that is out of range, or `SafeTensorsError` naming the
    ///   weight that is missing, unexpected, of another shape or not finite.
    public convenience init(configuration: EncoderConfiguration, weights file: SafeTensors) throws {
        var stored = try StoredWeights(file) { (declared) throws(ModelConfigurationError) in
            _ = try Self(configuration: configuration, weights: &declared)
        }
        try self.init(configuration: configuration, weights: &stored)
        try stored.finish()
    }

    /// Makes an encoder whose weights come from `weights`.
    init(
        configuration: EncoderConfiguration,
        weights: inout some WeightSource
    ) throws(ModelConfigurationError) {
        try configuration.requireKind(.masked)
        try configuration.validate()
        self.configuration = configuration
        predictor = EventPredictor(configuration, &weights)
    }

    /// Encodes timelines without masking, shape [B, L, d]: every row depends on all events of its timeline.
    public func hidden(_ graph: Graph, _ batch: EventBatch) -> Variable { predictor.transformer(graph, batch) }

    /// The hidden state of a masked event appended to each timeline, shape [B, d].
    public func states(_ graph: Graph, _ batch: EventBatch) -> Variable {
        let asked = batch.appendingMask()
        return predictor.transformer.last(graph, hidden: predictor.transformer(graph, asked), asked)
    }

    /// The item table, normalized if the head is, shape [V, d].
    public func itemVectors(_ graph: Graph) -> Variable { predictor.itemVectors(graph) }

    /// Scores items as the next one, shape [M, V].
    public func scores(_ graph: Graph, states: Variable, items: Variable) -> Variable {
        predictor.scores(graph, states: states, items: items)
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
