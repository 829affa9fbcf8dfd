import NeuralNetwork

/// The embedding tables of events, and how the features of an event are combined into one vector.
///
/// | weight | drawn with standard deviation |
/// |---|---|
/// | tables | 0.05 |
/// | projection of concatenated features | 1 / sqrt(inputs) |
///
/// The tables of disabled features exist all the same and keep their initial values, so a checkpoint's tensors do not
/// depend on which features are used.
struct EventEmbedding: Module, Sendable {
    let items: Parameter
    private let configuration: EncoderConfiguration
    private let unknownItems: Parameter
    private let categories: Parameter
    private let ratings: Parameter
    private let timeGaps: Parameter
    private let fusion: Linear?
    /// The vector of a masked event.
    private let mask: Parameter?

    var parameters: [Parameter] {
        [items, unknownItems, categories, ratings, timeGaps] + (fusion?.parameters ?? [])
            + (mask.map { [$0] } ?? [])
    }

    init(_ configuration: EncoderConfiguration, _ weights: inout some WeightSource) {
        self.configuration = configuration
        let (d, features) = (configuration.width, configuration.features)
        let joins = configuration.fusion == .concatenate
        let table = Filling.normal(0.05)
        items = table.parameter("items.weight", [configuration.itemCount, d], decay: .never, &weights)
        unknownItems = table.parameter(
            "unknown_items.weight",
            [features.unknownItemBuckets, d],
            decay: .never,
            &weights
        )
        let widths = configuration.featureWidths
        let categoryRows = max(configuration.categoryCount, 1)
        categories = table.parameter("categories.weight", [categoryRows, widths.0], decay: .never, &weights)
        ratings = table.parameter("ratings.weight", [features.ratingBuckets, widths.1], decay: .never, &weights)
        timeGaps = table.parameter("time_gaps.weight", [features.timeGapBuckets, widths.2], decay: .never, &weights)
        fusion =
            joins
            ? Linear("fusion", from: configuration.fusedWidth, to: d, bias: true, decay: .joined, &weights) : nil
        mask = configuration.kind == .masked ? table.parameter("mask.weight", [1, d], decay: .never, &weights) : nil
    }

    /// One vector per position, [B * L, d].
    func callAsFunction(_ graph: Graph, _ batch: EventBatch) -> Variable {
        let features = configuration.features
        var parts: [Variable] = []
        if features.usesItem {
            let known = graph.embedding(items, batch.items)
            // Most batches have no unknown items, so skip adding zeros.
            let hasUnknown = batch.unknownItems.contains { $0 >= 0 }
            parts.append(hasUnknown ? graph.add(known, graph.embedding(unknownItems, batch.unknownItems)) : known)
        }
        if features.usesCategories {
            parts.append(graph.embeddingMean(categories, indices: batch.categories, offsets: batch.categoryOffsets))
        }
        if features.usesRating { parts.append(graph.embedding(ratings, batch.ratings)) }
        if features.usesTimeGap { parts.append(graph.embedding(timeGaps, batch.timeGaps)) }
        var x: Variable
        if let fusion {
            x = fusion(graph, parts.count == 1 ? parts[0] : graph.concatenate(parts))
        } else {
            x = parts.dropFirst().reduce(parts[0]) { graph.add($0, $1) }
        }
        if let mask, !batch.masks.isEmpty { x = graph.add(x, graph.embedding(mask, batch.masks)) }
        return configuration.inputScale == 1 ? x : graph.scale(x, configuration.inputScale)
    }
}

/// Reads timelines, for all three encoders: events, their positions, blocks, and a final norm.
///
/// | weight | drawn with standard deviation |
/// |---|---|
/// | positions | 0.02 |
/// | products | 1 / sqrt(inputs) |
/// | output projection of a layer | the same / sqrt(layers that add to the sum), so that depth does not raise it |
/// | norms | gain 1, bias 0; all other biases 0 |
struct EventTransformer: Module, Sendable {
    let embedding: EventEmbedding
    private let configuration: EncoderConfiguration
    private let positions: Parameter
    private let blocks: [any EncoderBlock]
    private let finalNorm: LayerNorm

    var parameters: [Parameter] {
        embedding.parameters + [positions] + blocks.flatMap(\.parameters) + finalNorm.parameters
    }

    init(_ configuration: EncoderConfiguration, _ weights: inout some WeightSource) {
        self.configuration = configuration
        embedding = EventEmbedding(configuration, &weights)
        positions = Filling.normal(0.02).parameter(
            "positions.weight",
            [configuration.positionCount, configuration.width],
            decay: .never,
            &weights
        )
        var blocks: [any EncoderBlock] = []
        for layer in 0..<configuration.layers {
            let name = "blocks.\(layer)"
            switch configuration.block {
            case .attention: blocks.append(AttentionBlock(name, configuration, &weights))
            case .hstu: blocks.append(HSTUBlock(name, configuration, &weights))
            }
        }
        self.blocks = blocks
        finalNorm = LayerNorm("final_norm", configuration.width, &weights)
    }

    /// Hidden states of every position, [B, L, d]; zeros for padding.
    ///
    /// Layers see only real events, packed end to end: padding costs nothing.
    func callAsFunction(_ graph: Graph, _ batch: EventBatch) -> Variable {
        precondition(
            batch.length <= configuration.positionCount,
            "\(batch.length) positions exceed the encoder's \(configuration.positionCount)"
        )
        let rows = batch.realRows
        var start = 0
        let pieces = pieces(of: batch.lengths, graph).map { lengths in
            let count = lengths.reduce(0) { $0 + Int($1) }
            defer { start += count }
            return encoded(graph, batch, rows: rows[start..<start + count], lengths: lengths)
        }
        var x = graph.stacked(pieces)
        if !batch.isFull {
            var packedRows = [Int32](repeating: -1, count: batch.count * batch.length)
            for (packed, row) in rows.enumerated() { packedRows[Int(row)] = Int32(packed) }
            x = graph.gatherRows(x, packedRows)
        }
        return graph.reshaped(x, [batch.count, batch.length, configuration.width])
    }

    /// Hidden states of some of a batch's rows, which are whole timelines of the given lengths, [N, d].
    private func encoded(_ graph: Graph, _ batch: EventBatch, rows: ArraySlice<Int32>, lengths: [Int32]) -> Variable {
        let events = batch.isFull && rows.count == batch.items.count ? batch : batch.packed(rows)
        let places = graph.embedding(positions, rows.map { $0 % Int32(batch.length) })
        var x = graph.add(embedding(graph, events), places)
        x = graph.dropout(x, probability: configuration.dropout)
        let input = BlockInput(
            heads: configuration.heads,
            dropout: configuration.dropout,
            isCausal: configuration.kind != .masked,
            lengths: lengths,
            times: events.times,
            divisor: configuration.positionCount
        )
        for block in blocks { x = block(graph, x, input) }
        return finalNorm(graph, x)
    }

    /// Groups of timelines that go through all layers together: all of them when recording, otherwise as many as keep a
    /// layer's output in the processor's cache.
    private func pieces(of lengths: [Int32], _ graph: Graph) -> [[Int32]] {
        guard !graph.isRecording else { return [lengths] }
        var (pieces, events): ([[Int32]], Int32) = ([], 0)
        for length in lengths {
            if pieces.isEmpty || events + length > Self.eventsInCache {
                pieces.append([])
                events = 0
            }
            pieces[pieces.count - 1].append(length)
            events += length
        }
        return pieces.isEmpty ? [[]] : pieces
    }

    private static let eventsInCache: Int32 = 256

    /// The hidden state of each timeline's last event, [B, d]; zeros for a timeline without events.
    func last(_ graph: Graph, hidden: Variable, _ batch: EventBatch) -> Variable {
        let rows = batch.lengths.enumerated().map { row, length in
            length == 0 ? -1 : Int32(row * batch.length) + length - 1
        }
        return graph.gatherRows(graph.reshaped(hidden, [batch.count * batch.length, configuration.width]), rows)
    }
}

extension EncoderConfiguration {
    /// Widths of the vectors of categories, rating and time gap.
    var featureWidths: (Int, Int, Int) {
        fusion == .concatenate ? (width / 2, width / 4, width / 4) : (width, width, width)
    }

    /// Width of the vectors of all features in use, one after the other.
    var fusedWidth: Int {
        let widths = featureWidths
        return (features.usesItem ? width : 0) + (features.usesCategories ? widths.0 : 0)
            + (features.usesRating ? widths.1 : 0) + (features.usesTimeGap ? widths.2 : 0)
    }

    /// Positions of a timeline: its events, plus one for the event to predict if events are masked.
    var positionCount: Int { kind == .masked ? length + 1 : length }
}
