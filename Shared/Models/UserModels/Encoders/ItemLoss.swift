import Foundation
import ModelFiles
public import Tensors

/// The loss with which an encoder learns to score items.
public struct ItemLoss: Codable, Sendable, Equatable {
    /// The items that the softmax runs over.
    public enum Kind: String, Codable, Sendable, CaseIterable {
        /// The whole catalogue.
        case full
        /// The positive and a sample of negatives shared by all positions of a batch.
        case sampled
    }

    /// The distribution of the negatives.
    public enum Negatives: String, Codable, Sendable, CaseIterable {
        /// All items with equal probability.
        case uniform
        /// By Zipf's law: the r-th most popular item with a probability of about 1 / r.
        case logUniform = "log-uniform"
        /// In proportion to their frequency in the training data.
        case popularity
        /// The other positives of the batch.
        case batch
    }

    /// The items that the softmax runs over.
    public var kind = Kind.full
    /// The distribution of the negatives.
    public var negatives = Negatives.logUniform
    /// How many negatives are drawn; `batch` draws none.
    public var negativeCount = 1_024
    /// Whether a negative's score is lowered by the logarithm of its expected number of draws (logQ).
    ///
    /// The loss then estimates the softmax over the whole catalogue; without it, popular items are penalized more.
    public var correctsSampling = true

    /// The defaults: a softmax over the whole catalogue.
    public init() {}

    func validate() throws(ModelConfigurationError) {
        try require("encoder.loss.negativeCount", negativeCount, in: 1...1_000_000)
    }
}

/// Samples the negatives of a batch.
public struct NegativeSampler: Sendable {
    private let loss: ItemLoss
    /// Probability of each item under the sampling distribution, or under that of the batch's own items.
    private let probabilities: [Double]
    /// Cumulative probabilities in the order of `order`, inclusive.
    private let cumulative: [Double]
    /// Items in the order of `cumulative`; empty if that is the catalogue's order.
    private let order: [Int32]

    /// Makes a sampler.
    ///
    /// - Parameters:
    ///   - loss: the sampling configuration.
    ///   - trainingCounts: how often each item of the catalogue occurs in training.
    public init(loss: ItemLoss, trainingCounts: [Int]) {
        self.loss = loss
        let V = trainingCounts.count
        // Items that never occur count as if they had occurred once: each needs a nonzero probability and a logarithm.
        let total = Double(trainingCounts.reduce(0, +) + V)
        var (probabilities, order) = ([Double](repeating: 1 / Double(V), count: V), [Int32]())
        switch loss.negatives {
        case .uniform: break
        case .popularity, .batch:
            probabilities = trainingCounts.map { Double($0 + 1) / total }
        case .logUniform:
            order = trainingCounts.indices.sorted { (trainingCounts[$1], $0) < (trainingCounts[$0], $1) }.map(
                Int32.init
            )
            for (rank, item) in order.enumerated() {
                probabilities[Int(item)] = log(Double(rank + 2) / Double(rank + 1)) / log(Double(V + 1))
            }
        }
        var (sum, sums) = (0.0, [Double]())
        for place in 0..<V {
            sum += probabilities[order.isEmpty ? place : Int(order[place])]
            sums.append(sum)
        }
        (self.probabilities, self.order, cumulative) = (probabilities, order, sums)
    }

    /// The negatives of a batch; nil when the loss runs over the whole catalogue.
    ///
    /// An item drawn several times becomes one negative with that multiplicity.
    ///
    /// - Parameters:
    ///   - targets: the batch's positives; -1 where there is none.
    ///   - generator: source of the random draws.
    /// - Returns: each item once.
    public func negatives(
        for targets: [Int32],
        using generator: inout some RandomNumberGenerator
    ) -> SharedNegatives? {
        guard loss.kind == .sampled else { return nil }
        var drawn: [Int32]
        if loss.negatives == .batch {
            drawn = targets.filter { $0 >= 0 }
        } else {
            drawn = (0..<loss.negativeCount).map { _ in draw(using: &generator) }
        }
        drawn.sort()
        var (ids, biases): ([Int32], [Float]) = ([], [])
        var start = 0
        while start < drawn.count {
            let item = drawn[start]
            let end = drawn[start...].firstIndex { $0 != item } ?? drawn.count
            let expected = loss.correctsSampling ? Double(drawn.count) * probabilities[Int(item)] : 1
            ids.append(item)
            biases.append(Float(log(Double(end - start) / expected)))
            start = end
        }
        return SharedNegatives(ids: ids, biases: biases)
    }

    private func draw(using generator: inout some RandomNumberGenerator) -> Int32 {
        let point = Double.random(in: 0..<1, using: &generator) * cumulative[cumulative.count - 1]
        var (low, high) = (0, cumulative.count - 1)
        while low < high {
            let middle = (low + high) / 2
            if cumulative[middle] > point { high = middle } else { low = middle + 1 }
        }
        return order.isEmpty ? Int32(low) : order[low]
    }
}
