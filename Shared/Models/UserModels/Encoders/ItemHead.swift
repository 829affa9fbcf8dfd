import ModelFiles
import NeuralNetwork
import Tensors

/// Scores items from hidden states, and computes the loss.
///
/// Both sides are vectors of width `d`: the score is their dot product, or their cosine similarity, divided by a
/// temperature.
public struct ItemHead: Sendable {
    /// How items are scored.
    public struct Configuration: Codable, Sendable, Equatable {
        /// How the two vectors are compared.
        public enum Kind: String, Codable, Sendable, CaseIterable {
            /// Their dot product.
            case dot
            /// Their cosine similarity.
            case normalized
        }

        /// How the two vectors are compared.
        public var kind: Kind
        /// The divisor of scores.
        public var temperature: Float

        /// The default: the plain dot product.
        public init(kind: Kind = .dot, temperature: Float = 1) {
            self.kind = kind
            self.temperature = temperature
        }

        func validate() throws(ModelConfigurationError) {
            try require("encoder.head.temperature", temperature, in: ModelRange.factor)
        }
    }

    private let configuration: Configuration
    /// Constant gains that turn root mean square normalization into unit-length normalization; not weights.
    private let userGain: Parameter
    private let itemGain: Parameter

    init(_ configuration: Configuration, width: Int) {
        self.configuration = configuration
        let unit = 1 / Float(width).squareRoot()
        func gain(_ value: Float) -> Parameter {
            let parameter = Parameter.constant("unit length", [width], value)
            parameter.isTrainable = false
            return parameter
        }
        userGain = gain(unit / configuration.temperature)
        itemGain = gain(unit)
    }

    /// Item vectors as used for scoring.
    func items(_ graph: Graph, _ vectors: Variable) -> Variable {
        configuration.kind == .dot ? vectors : graph.rmsNorm(vectors, gain: itemGain, epsilon: 1e-12)
    }

    /// Scores of all given items, [M, V], for hidden states of [M, d] and the result of `items(_:_:)`, [V, d].
    func scores(_ graph: Graph, users: Variable, items: Variable) -> Variable {
        graph.linear(scored(graph, users), weight: items, bias: nil)
    }

    /// The summed cross-entropy of the positives.
    ///
    /// - Parameters:
    ///   - graph: records the operations.
    ///   - rows: a hidden state for each position of the batch, [B * L, d].
    ///   - batch: the positives, and the sample for the softmax; without one it runs over the whole catalogue.
    ///   - vectors: gives the vectors of some items, or of all for nil.
    /// - Returns: a scalar, the sum over the positions that have a positive.
    func loss(
        _ graph: Graph,
        rows: Variable,
        _ batch: NextEventBatch,
        vectors: ([Int32]?) -> Variable
    ) -> Variable {
        let (known, targets) = batch.knownTargets
        let rows = scored(graph, graph.gatherRows(rows, known))
        guard let negatives = batch.negatives else {
            return graph.crossEntropy(rows, weight: items(graph, vectors(nil)), targets: targets)
        }
        // Each item is looked up, and passed through the tower if there is one, only once.
        var places: [Int32: Int32] = [:]
        var needed: [Int32] = []
        for item in negatives.ids + targets where places[item] == nil {
            places[item] = Int32(needed.count)
            needed.append(item)
        }
        let table = items(graph, vectors(needed))
        return graph.sampledCrossEntropy(
            rows,
            positives: graph.gatherRows(table, targets.map { places[$0] ?? -1 }),
            negatives: graph.gatherRows(table, negatives.ids.map { places[$0] ?? -1 }),
            targets: targets,
            shared: negatives
        )
    }

    private func scored(_ graph: Graph, _ users: Variable) -> Variable {
        switch configuration.kind {
        case .normalized: graph.rmsNorm(users, gain: userGain, epsilon: 1e-12)
        case .dot: configuration.temperature == 1 ? users : graph.scale(users, 1 / configuration.temperature)
        }
    }
}

/// Predicts the categories and the rating of an event, in addition to its item.
struct FeatureHeads: Sendable {
    private let configuration: EncoderConfiguration
    private let category: Linear
    private let rating: Linear

    var parameters: [Parameter] { category.parameters + rating.parameters }

    init(_ configuration: EncoderConfiguration, _ weights: inout some WeightSource) {
        self.configuration = configuration
        let (d, categories) = (configuration.width, max(configuration.categoryCount, 1))
        category = Linear("category_head", from: d, to: categories, bias: true, decay: .joined, &weights)
        rating = Linear(
            "rating_head",
            from: d,
            to: configuration.features.ratingBuckets,
            bias: true,
            decay: .joined,
            &weights
        )
    }

    /// The weighted terms of the loss, for hidden states of [B * L, d].
    func terms(_ graph: Graph, rows: Variable, _ batch: NextEventBatch, share: Float) -> [(Variable, Float)] {
        var terms: [(Variable, Float)] = []
        if configuration.categoryLossWeight > 0, !batch.targetCategories.isEmpty {
            let loss = graph.crossEntropy(
                graph.gatherRows(rows, batch.targetCategories.map(\.row)),
                weight: graph.parameter(category.weight),
                bias: category.bias,
                targets: batch.targetCategories.map(\.category),
                rowWeights: batch.targetCategories.map(\.weight)
            )
            terms.append((loss, configuration.categoryLossWeight * share))
        }
        let rated = batch.targetRatings.indices.filter { batch.targetRatings[$0] >= 0 }
        if configuration.ratingLossWeight > 0, !rated.isEmpty {
            let loss = graph.crossEntropy(
                graph.gatherRows(rows, rated.map(Int32.init)),
                weight: graph.parameter(rating.weight),
                bias: rating.bias,
                targets: rated.map { batch.targetRatings[$0] }
            )
            terms.append((loss, configuration.ratingLossWeight * share))
        }
        return terms
    }
}
