public import Catalogues
public import ModelFiles
public import NeuralNetwork
public import Tensors

/// A history tower and an item tower that interact only through their outputs: late fusion.
///
/// The history tower is a causal Transformer over events, so that one pass gives a state after every event. The item
/// tower reads an item's id and its categories from tables of its own, so that item vectors can be precomputed and kept
/// in an index.
///
/// Shapes: `B` timelines, `L` positions, `d` width, `V` items of the catalogue.
/// - Source: the correction for sampled negatives of Yi et al., RecSys 2019, doi 10.1145/3298689.3346996.
public final class DualEncoder: UserEncoder {
    /// Maps an item's id and categories to its vector.
    private struct ItemTower: Module, Sendable {
        private let items: Parameter
        private let categories: Parameter
        private let fusion: Linear
        private let feedForward: FeedForward
        private let norm: LayerNorm
        private let categoriesOfItem: [[Int32]]

        var parameters: [Parameter] {
            [items, categories] + fusion.parameters + feedForward.parameters + norm.parameters
        }

        init(
            _ configuration: EncoderConfiguration,
            _ catalogue: Catalogue,
            _ weights: inout some WeightSource
        ) {
            let d = configuration.width
            let table = Filling.normal(0.05)
            items = table.parameter("item_tower.items.weight", [configuration.itemCount, d], decay: .never, &weights)
            categories = table.parameter(
                "item_tower.categories.weight",
                [max(configuration.categoryCount, 1), d / 2],
                decay: .never,
                &weights
            )
            fusion = Linear("item_tower.fusion", from: d + d / 2, to: d, bias: true, decay: .joined, &weights)
            feedForward = FeedForward(
                "item_tower.feed_forward",
                d,
                hidden: configuration.feedForwardWidth,
                scale: 1 / Float(2).squareRoot(),
                &weights
            )
            norm = LayerNorm("item_tower.norm", d, &weights)
            categoriesOfItem = catalogue.categoryIndices.map { $0.map(Int32.init) }
        }

        /// Vectors of some items, or of all for nil, [n, d].
        func callAsFunction(_ graph: Graph, _ wanted: [Int32]?) -> Variable {
            let wanted = wanted ?? (0..<Int32(categoriesOfItem.count)).map { $0 }
            var (indices, offsets): ([Int32], [Int32]) = ([], [0])
            for item in wanted {
                indices += categoriesOfItem[Int(item)]
                offsets.append(Int32(indices.count))
            }
            let joined = graph.concatenate([
                graph.embedding(items, wanted),
                graph.embeddingMean(categories, indices: indices, offsets: offsets),
            ])
            let x = fusion(graph, joined)
            return norm(graph, graph.add(x, feedForward(graph, x)))
        }
    }

    /// The encoder's shape and loss.
    public let configuration: EncoderConfiguration

    private let transformer: EventTransformer
    private let itemTower: ItemTower
    private let head: ItemHead

    /// Every weight, in checkpoint order.
    public var parameters: [Parameter] { transformer.parameters + itemTower.parameters }

    /// Makes an encoder with random weights; see `EventTransformer` for their distributions.
    ///
    /// - Parameters:
    ///   - configuration: shape and loss.
    ///   - catalogue: the items with their categories, in the encoder's order.
    ///   - generator: source of the random draws.
    /// - Throws: `ModelConfigurationError` naming the value that is out of range.
    public convenience init(
        configuration: EncoderConfiguration,
        catalogue: Catalogue,
        using generator: inout some RandomNumberGenerator
    ) throws(ModelConfigurationError) {
        var drawn = DrawnWeights(generator)
        defer { generator = drawn.generator }
        try self.init(configuration: configuration, catalogue: catalogue, weights: &drawn)
    }

    /// Makes an encoder from the weights in a file, whose names and shapes are checked against the configuration first.
    ///
    /// - Throws: `ModelConfigurationError` naming the value that is out of range, or `SafeTensorsError` naming the
    ///   weight that is missing, unexpected, of another shape or not finite.
    public convenience init(configuration: EncoderConfiguration, catalogue: Catalogue, weights file: SafeTensors) throws
    {
        var stored = try StoredWeights(file) { (declared) throws(ModelConfigurationError) in
            _ = try Self(configuration: configuration, catalogue: catalogue, weights: &declared)
        }
        try self.init(configuration: configuration, catalogue: catalogue, weights: &stored)
        try stored.finish()
    }

    /// Makes an encoder whose weights come from `weights`.
    init(
        configuration: EncoderConfiguration,
        catalogue: Catalogue,
        weights: inout some WeightSource
    ) throws(ModelConfigurationError) {
        try configuration.requireKind(.dual)
        try configuration.validate()
        let (V, C) = (catalogue.count, catalogue.categories.count)
        let (items, categories) = (configuration.itemCount, configuration.categoryCount)
        try require("encoder.itemCount", items, items == V, "the catalogue's \(V) items")
        try require("encoder.categoryCount", categories, categories == C, "the catalogue's \(C) categories")
        self.configuration = configuration
        transformer = EventTransformer(configuration, &weights)
        itemTower = ItemTower(configuration, catalogue, &weights)
        head = ItemHead(configuration.head, width: configuration.width)
    }

    /// Encodes histories, shape [B, L, d]: row t depends only on the events up to t.
    public func hidden(_ graph: Graph, _ batch: EventBatch) -> Variable { transformer(graph, batch) }

    /// The hidden state of each timeline's last event, shape [B, d]; zeros for a timeline without events.
    public func states(_ graph: Graph, _ batch: EventBatch) -> Variable {
        transformer.last(graph, hidden: transformer(graph, batch), batch)
    }

    /// The item tower's output for every item, normalized if the head is, shape [V, d].
    public func itemVectors(_ graph: Graph) -> Variable { head.items(graph, itemTower(graph, nil)) }

    /// Scores items as the next one, shape [M, V].
    public func scores(_ graph: Graph, states: Variable, items: Variable) -> Variable {
        head.scores(graph, users: states, items: items)
    }

    /// The cross-entropy of each next item.
    public func loss(_ graph: Graph, _ batch: NextEventBatch, targetCount: Int) -> Variable {
        let rows = graph.reshaped(
            hidden(graph, batch.events),
            [batch.events.count * batch.events.length, configuration.width]
        )
        let items = head.loss(graph, rows: rows, batch) { itemTower(graph, $0) }
        return graph.scale(items, 1 / Float(max(targetCount, 1)))
    }
}
