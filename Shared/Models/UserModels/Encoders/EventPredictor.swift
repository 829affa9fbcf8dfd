import ModelFiles
import NeuralNetwork

/// An encoder that fuses an event's features before its Transformer reads it.
protocol EarlyFusionEncoder: UserEncoder, WeightedModel where Configuration == EncoderConfiguration {
    var predictor: EventPredictor { get }
}

extension EarlyFusionEncoder {
    /// The encoder's shape and loss.
    public var configuration: EncoderConfiguration { predictor.configuration }

    /// Every weight, in checkpoint order.
    public var parameters: [Parameter] { predictor.parameters }

    /// Encodes timelines, without masking.
    ///
    /// - Returns: shape [B, L, d]; rows of padding are meaningless. Row t depends only on the events up to t, unless the
    ///   encoder reads in both directions.
    public func hidden(_ graph: Graph, _ batch: EventBatch) -> Variable { predictor.transformer(graph, batch) }

    /// The item table, normalized if the head is, shape [V, d].
    public func itemVectors(_ graph: Graph) -> Variable { predictor.itemVectors(graph) }

    /// Scores items as the next one, shape [M, V].
    public func scores(_ graph: Graph, states: Variable, items: Variable) -> Variable {
        predictor.scores(graph, states: states, items: items)
    }
}

/// A Transformer over events with prediction heads: the common part of the early-fusion encoders.
///
/// The item head is tied to the item table; the category and rating heads have their own weights.
struct EventPredictor: Module, Sendable {
    let transformer: EventTransformer
    let configuration: EncoderConfiguration
    private let featureHeads: FeatureHeads
    private let head: ItemHead

    var parameters: [Parameter] { transformer.parameters + featureHeads.parameters }

    /// - Throws: `ModelConfigurationError` naming the value that is out of range, or the kind if it is another.
    init(
        _ configuration: EncoderConfiguration,
        kind: EncoderConfiguration.Kind,
        _ weights: inout some WeightSource
    ) throws(ModelConfigurationError) {
        try configuration.requireKind(kind)
        try configuration.validate()
        self.configuration = configuration
        transformer = EventTransformer(configuration, &weights)
        featureHeads = FeatureHeads(configuration, &weights)
        head = ItemHead(configuration.head, width: configuration.width)
    }

    /// Item cross-entropy plus the weighted losses of the other heads, for hidden states of [B, L, d].
    func loss(_ graph: Graph, hidden: Variable, _ batch: NextEventBatch, targetCount: Int) -> Variable {
        let rows = graph.reshaped(hidden, [batch.events.count * batch.events.length, configuration.width])
        let share = 1 / Float(max(targetCount, 1))
        let items = head.loss(graph, rows: rows, batch) { vectors(graph, of: $0) }
        return graph.sum([(items, share)] + featureHeads.terms(graph, rows: rows, batch, share: share))
    }

    func itemVectors(_ graph: Graph) -> Variable { head.items(graph, vectors(graph, of: nil)) }

    func scores(_ graph: Graph, states: Variable, items: Variable) -> Variable {
        head.scores(graph, users: states, items: items)
    }

    private func vectors(_ graph: Graph, of items: [Int32]?) -> Variable {
        let table = transformer.embedding.items
        return items.map { graph.embedding(table, $0) } ?? graph.parameter(table)
    }
}
