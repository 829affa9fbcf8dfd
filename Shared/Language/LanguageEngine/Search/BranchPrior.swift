import Foundation

/// What a tree knows about the choice at one of its nodes, and how much that counts beside the model.
///
/// A child's probability becomes proportional to `model^modelWeight * prior^priorWeight`. Children about which nothing
/// is known keep the model's own probability, and the others divide among themselves what the model leaves them.
public struct BranchPrior: Sendable, Equatable {
    /// For each child, in the tree's order, the natural logarithm of a number proportional to its prior probability; nil
    /// where nothing is known.
    public var logs: [Double?]
    /// The exponent of the model's probability; with 0 the model has no say.
    public var modelWeight: Double
    /// The exponent of the prior probability; with 0 the prior has no say.
    public var priorWeight: Double

    /// A logarithm below the greatest one by more than this counts as so much below it.
    ///
    /// So a probability of 0 is finite, is the last, and leaves the other factor to decide between several of them.
    private static let reach = 1e5

    /// Makes a prior.
    public init(logs: [Double?], modelWeight: Double, priorWeight: Double) {
        self.logs = logs
        self.modelWeight = modelWeight
        self.priorWeight = priorWeight
    }

    /// The logarithms of the children's probabilities, model and prior together.
    ///
    /// - Parameter model: the logarithms of the model's probabilities of the children among themselves.
    /// - Returns: as many; `model` itself where the prior has no say, or the model's are not numbers.
    func fused(_ model: [Double]) -> [Double] {
        precondition(logs.count == model.count, "a prior of \(logs.count) children for a node with \(model.count)")
        if modelWeight == 1, priorWeight == 0 { return model }
        let known = logs.indices.filter { logs[$0] != nil }
        guard known.count > 1, !model.contains(where: \.isNaN) else { return model }
        let own = Self.weighted(known.map { model[$0] }, modelWeight)
        let prior = Self.weighted(known.map { logs[$0] ?? 0 }, priorWeight)
        let values = zip(own, prior).map { $0 + $1 }
        let sum = Self.logSum(values)
        let share = known.count == model.count ? 0 : Self.logSum(known.map { model[$0] })
        var result = model
        for (index, value) in zip(known, values) { result[index] = value - sum + share }
        return result
    }

    /// Logarithms, relative to the greatest one, times a weight.
    private static func weighted(_ logs: [Double], _ weight: Double) -> [Double] {
        let greatest = logs.max() ?? 0
        guard weight != 0, greatest.isFinite else { return logs.map { _ in 0 } }
        return logs.map { weight * max($0 - greatest, -reach) }
    }

    private static func logSum(_ logs: [Double]) -> Double {
        let greatest = logs.max() ?? 0
        guard greatest.isFinite else { return greatest }
        return greatest + log(logs.reduce(0) { $0 + exp($1 - greatest) })
    }
}

/// A choice on the way to a given answer.
public struct ReadBranch: Sendable, Equatable {
    /// The node at which the choice is made.
    public var node: Int32
    /// Which of the node's children leads to the answer.
    public var taken: Int
    /// Natural logarithms of the model's probabilities of the children among themselves, in their order, without the
    /// tree's prior.
    public var logs: [Float]

    /// Describes a choice.
    public init(node: Int32, taken: Int, logs: [Float]) {
        self.node = node
        self.taken = taken
        self.logs = logs
    }
}
