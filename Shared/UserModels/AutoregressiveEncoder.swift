public import NeuralNetwork
import Tensors

/// Reads a timeline event by event and predicts the next one: a decoder-only Transformer over events.
///
/// The features of an event are fused early: their vectors are joined and projected to one vector of width `d`. Blocks
/// are pre-norm: causal attention, then a feed-forward layer. The item head's weights are the item table's.
///
/// Shapes: `B` timelines, `L` positions, `d` width, `V` items of the catalogue, `C` categories.
/// - Source: SASRec, arXiv 1808.09781, with the full cross-entropy of arXiv 2309.07602.
public final class AutoregressiveEncoder: Module, Sendable {
    /// The encoder's shape and loss, saved beside its weights.
    public struct Configuration: Codable, Sendable, Equatable {
        /// Which features of an event are read.
        public var features = EventFeatures.Configuration()
        /// Items of the catalogue, `V`.
        public var itemCount: Int
        /// Categories of the catalogue, `C`.
        public var categoryCount: Int
        /// Width of an event's vector, `d`.
        public var width = 64
        /// Number of blocks.
        public var layers = 2
        /// Attention heads; they divide `width`.
        public var heads = 2
        /// The most events of a timeline.
        public var length = 50
        /// Width between the two products of a feed-forward layer.
        public var feedForwardWidth = 128
        /// Share of numbers dropped in training, after fusion and in each block.
        public var dropout: Float = 0.2
        /// Share of items that training hides behind an unknown item's bucket.
        public var hiddenItemShare: Float = 0.02
        /// Weight of the next event's categories in the loss; 0 leaves that head out of it.
        public var categoryLossWeight: Float = 0.1
        /// Weight of the next event's rating in the loss; 0 leaves that head out of it.
        public var ratingLossWeight: Float = 0

        /// The default shape for a catalogue of this size.
        public init(itemCount: Int, categoryCount: Int) {
            self.itemCount = itemCount
            self.categoryCount = categoryCount
        }

        /// Throws when a value is outside its range.
        func validate() throws(ModelConfigurationError) {
            try require("encoder.itemCount", itemCount, itemCount > 0, "at least 1")
            try require("encoder.width", width, width >= 8 && width % 4 == 0, "a multiple of 4, at least 8")
            try require("encoder.heads", heads, heads > 0 && width % heads == 0, "a divisor of the width \(width)")
            try require("encoder.layers", layers, layers > 0, "at least 1")
            try require("encoder.length", length, length > 0, "at least 1")
            try require("encoder.feedForwardWidth", feedForwardWidth, feedForwardWidth > 0, "at least 1")
            try require("encoder.dropout", dropout, (0..<1).contains(dropout), "from 0 to below 1")
            let buckets = features.unknownItemBuckets
            try require("encoder.features.unknownItemBuckets", buckets, buckets > 0, "at least 1")
        }
    }

    /// Causal self-attention over events.
    struct Block: Sendable {
        let attentionNorm: LayerNorm
        let query: Linear, key: Linear, value: Linear, output: Linear
        let feedForwardNorm: LayerNorm
        let feedForward: FeedForward

        var parameters: [Parameter] {
            attentionNorm.parameters + query.parameters + key.parameters + value.parameters + output.parameters
                + feedForwardNorm.parameters + feedForward.parameters
        }

        /// Attends and feeds forward; `x` and the result have the shape [B, L, d].
        func callAsFunction(_ graph: Graph, _ x: Variable, heads: Int, dropout: Float) -> Variable {
            let normed = attentionNorm(graph, x)
            let attended = graph.attention(
                q: query(graph, normed),
                k: key(graph, normed),
                v: value(graph, normed),
                heads: heads,
                keyValueHeads: heads,
                causal: true,
                keyLengths: nil,
                keyBlocks: nil
            )
            let y = graph.add(x, graph.dropout(output(graph, attended), probability: dropout))
            let fed = feedForward(graph, feedForwardNorm(graph, y))
            return graph.add(y, graph.dropout(fed, probability: dropout))
        }
    }

    /// The encoder's shape and loss.
    public let configuration: Configuration

    private let itemTable: Parameter
    private let unknownItemTable: Parameter
    private let categoryTable: Parameter
    private let ratingTable: Parameter
    private let timeGapTable: Parameter
    private let fusion: Linear
    private let positions: Parameter
    private let blocks: [Block]
    private let finalNorm: LayerNorm
    private let categoryHead: Linear
    private let ratingHead: Linear

    /// Every weight, in checkpoint order.
    public var parameters: [Parameter] {
        [itemTable, unknownItemTable, categoryTable, ratingTable, timeGapTable] + fusion.parameters + [positions]
            + blocks.flatMap(\.parameters) + finalNorm.parameters + categoryHead.parameters + ratingHead.parameters
    }

    /// Makes an encoder with random weights.
    ///
    /// | weight | drawn with standard deviation |
    /// |---|---|
    /// | item, unknown item and category tables | 0.05 |
    /// | rating and time gap tables | 0.05 |
    /// | positions | 0.02 |
    /// | products | 1 / sqrt(inputs) |
    /// | last product of attention and feed-forward | the same / sqrt(2 * layers), so that depth does not raise the sum |
    /// | norms | gain 1, bias 0; all other biases 0 |
    ///
    /// - Throws: `ModelConfigurationError` naming the value that is out of range.
    public init(
        configuration: Configuration,
        using generator: inout some RandomNumberGenerator
    ) throws(ModelConfigurationError) {
        try configuration.validate()
        self.configuration = configuration
        let d = configuration.width
        let features = configuration.features
        let table = Filling.normal(0.05)
        itemTable = table.parameter("items.weight", [configuration.itemCount, d], &generator)
        unknownItemTable = table.parameter("unknown_items.weight", [features.unknownItemBuckets, d], &generator)
        let categoryRows = max(configuration.categoryCount, 1)
        categoryTable = table.parameter("categories.weight", [categoryRows, d / 2], &generator)
        ratingTable = table.parameter("ratings.weight", [features.ratingBuckets, d / 4], &generator)
        timeGapTable = table.parameter("time_gaps.weight", [features.timeGapBuckets, d / 4], &generator)
        let joined =
            (features.usesItem ? d : 0) + (features.usesCategories ? d / 2 : 0)
            + (features.usesRating ? d / 4 : 0) + (features.usesTimeGap ? d / 4 : 0)
        try require("encoder.features", "none used", joined > 0, "at least one feature in use")
        fusion = Linear("fusion", from: joined, to: d, bias: true, &generator)
        positions = Filling.normal(0.02).parameter("positions.weight", [configuration.length, d], &generator)
        let last = 1 / Float(2 * configuration.layers).squareRoot()
        var blocks: [Block] = []
        for layer in 0..<configuration.layers {
            let name = "blocks.\(layer)"
            blocks.append(
                Block(
                    attentionNorm: LayerNorm("\(name).attention_norm", d, &generator),
                    query: Linear("\(name).query", from: d, to: d, bias: true, &generator),
                    key: Linear("\(name).key", from: d, to: d, bias: true, &generator),
                    value: Linear("\(name).value", from: d, to: d, bias: true, &generator),
                    output: Linear("\(name).output", from: d, to: d, bias: true, scale: last, &generator),
                    feedForwardNorm: LayerNorm("\(name).feed_forward_norm", d, &generator),
                    feedForward: FeedForward(
                        "\(name).feed_forward",
                        d,
                        hidden: configuration.feedForwardWidth,
                        scale: last,
                        &generator
                    )
                )
            )
        }
        self.blocks = blocks
        finalNorm = LayerNorm("final_norm", d, &generator)
        categoryHead = Linear("category_head", from: d, to: categoryRows, bias: true, &generator)
        ratingHead = Linear("rating_head", from: d, to: features.ratingBuckets, bias: true, &generator)
    }

    /// Encodes timelines.
    ///
    /// - Returns: shape [B, L, d]. Row t depends on the events up to t only; rows of padding mean nothing.
    public func hidden(_ graph: Graph, _ batch: EventBatch) -> Variable {
        precondition(
            batch.length <= configuration.length,
            "\(batch.length) positions exceed the encoder's \(configuration.length)"
        )
        let rows = batch.count * batch.length
        var x = graph.reshaped(fused(graph, batch), [batch.count, batch.length, configuration.width])
        let places = graph.embedding(positions, (0..<Int32(batch.length)).map { $0 })
        x = graph.addRows(graph.reshaped(x, [rows, configuration.width]), places)
        x = graph.dropout(x, probability: configuration.dropout)
        x = graph.reshaped(x, [batch.count, batch.length, configuration.width])
        for block in blocks {
            x = block(graph, x, heads: configuration.heads, dropout: configuration.dropout)
        }
        return finalNorm(graph, x)
    }

    /// The events' feature vectors, joined and projected, shape [B * L, d].
    private func fused(_ graph: Graph, _ batch: EventBatch) -> Variable {
        let features = configuration.features
        var parts: [Variable] = []
        if features.usesItem {
            let known = graph.embedding(itemTable, batch.items)
            // Most batches have no unknown item, so the sum with zeros is left out.
            let hasUnknown = batch.unknownItems.contains { $0 >= 0 }
            parts.append(hasUnknown ? graph.add(known, graph.embedding(unknownItemTable, batch.unknownItems)) : known)
        }
        if features.usesCategories {
            parts.append(
                graph.embeddingMean(categoryTable, indices: batch.categories, offsets: batch.categoryOffsets)
            )
        }
        if features.usesRating { parts.append(graph.embedding(ratingTable, batch.ratings)) }
        if features.usesTimeGap { parts.append(graph.embedding(timeGapTable, batch.timeGaps)) }
        return fusion(graph, parts.count == 1 ? parts[0] : graph.concatenate(parts))
    }

    /// The loss of predicting each next event.
    ///
    /// - Parameters:
    ///   - graph: where the work is recorded.
    ///   - hidden: what `hidden(_:_:)` gave for `batch.events`, shape [B, L, d].
    ///   - batch: events and what came next.
    ///   - targetCount: what the sum over events is divided by: the targets of all shards of the step.
    /// - Returns: one number: item cross-entropy over the whole catalogue, and the weighted further heads.
    public func loss(_ graph: Graph, hidden: Variable, _ batch: NextEventBatch, targetCount: Int) -> Variable {
        let rows = graph.reshaped(hidden, [batch.events.count * batch.events.length, configuration.width])
        let share = 1 / Float(max(targetCount, 1))
        let known = batch.targetItems.indices.filter { batch.targetItems[$0] >= 0 }
        let items = graph.crossEntropy(
            graph.gatherRows(rows, known.map(Int32.init)),
            weight: graph.parameter(itemTable),
            bias: nil,
            targets: known.map { batch.targetItems[$0] },
            rowWeights: nil
        )
        var terms: [(Variable, Float)] = [(items, share)]
        if configuration.categoryLossWeight > 0, !batch.targetCategories.isEmpty {
            let loss = graph.crossEntropy(
                graph.gatherRows(rows, batch.targetCategories.map(\.row)),
                weight: graph.parameter(categoryHead.weight),
                bias: categoryHead.bias,
                targets: batch.targetCategories.map(\.category),
                rowWeights: batch.targetCategories.map(\.weight)
            )
            terms.append((loss, configuration.categoryLossWeight * share))
        }
        let rated = batch.targetRatings.indices.filter { batch.targetRatings[$0] >= 0 }
        if configuration.ratingLossWeight > 0, !rated.isEmpty {
            let loss = graph.crossEntropy(
                graph.gatherRows(rows, rated.map(Int32.init)),
                weight: graph.parameter(ratingHead.weight),
                bias: ratingHead.bias,
                targets: rated.map { batch.targetRatings[$0] },
                rowWeights: nil
            )
            terms.append((loss, configuration.ratingLossWeight * share))
        }
        return graph.sum(terms)
    }

    /// Encodes a batch and gives its loss; see `loss(_:hidden:_:targetCount:)`.
    public func loss(_ graph: Graph, _ batch: NextEventBatch, targetCount: Int) -> Variable {
        loss(graph, hidden: hidden(graph, batch.events), batch, targetCount: targetCount)
    }

    /// The hidden state of each timeline's last event, shape [B, d]; zeros for a timeline without events.
    public func lastHidden(_ graph: Graph, hidden: Variable, _ batch: EventBatch) -> Variable {
        let rows = batch.lengths.enumerated().map { row, length in
            length == 0 ? -1 : Int32(row * batch.length) + length - 1
        }
        return graph.gatherRows(graph.reshaped(hidden, [batch.count * batch.length, configuration.width]), rows)
    }

    /// Scores every item of the catalogue as the next one.
    ///
    /// - Parameters:
    ///   - graph: where the work is done.
    ///   - lastHidden: hidden states, shape [M, d].
    /// - Returns: logits, shape [M, V].
    public func scores(_ graph: Graph, lastHidden: Variable) -> Variable {
        graph.linear(lastHidden, weight: itemTable, bias: nil)
    }
}
