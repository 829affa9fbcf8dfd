import NeuralNetwork

/// A Transformer over events with prediction heads: the common part of the early-fusion encoders.
///
/// The item head is tied to the item table; the category and rating heads have their own weights.
struct EventPredictor: Module, Sendable {
    let transformer: EventTransformer
    private let configuration: EncoderConfiguration
    private let featureHeads: FeatureHeads
    private let head: ItemHead

    var parameters: [Parameter] { transformer.parameters + featureHeads.parameters }

    init(_ configuration: EncoderConfiguration, _ weights: inout some WeightSource) {
        self.configuration = configuration
        transformer = EventTransformer(configuration, &weights)
        featureHeads = FeatureHeads(configuration, &weights)
        head = ItemHead(configuration.head, width: configuration.width)
    }

    /// Item cross-entropy plus the weighted losses of the other heads, for hidden states of [B, L, d].
    func loss(_ graph: Graph, hidden: Variable, _ batch: NextEventBatch, targetCount: Int) -> Variable {
        let rows = graph.reshaped(hidden, [batch.events.count * batch.events.length, configuration.width])
        let share = 1 / Float(max(targetCount, 1))
        let (known, targets) = batch.knownTargets
        let items = head.loss(
            graph,
            users: graph.gatherRows(rows, known),
            targets: targets,
            negatives: batch.negatives,
            vectors: { vectors(graph, of: $0) }
        )
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
