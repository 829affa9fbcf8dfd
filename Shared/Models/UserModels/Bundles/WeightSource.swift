import Foundation
import NeuralNetwork
import Tensors

/// Where a model's weights come from while it is made.
///
/// Every model has one initialization, which asks for its weights one after the other. So what a new model draws, what a
/// configuration declares and what a file is read into cannot differ.
protocol WeightSource {
    /// The parameter of this name and shape. There is no `decay` that goes without saying: a new table would decay in silence.
    mutating func parameter(_ name: String, _ shape: [Int], _ filling: Filling, _ decay: WeightDecay) -> Parameter
}

/// How a new weight is filled.
enum Filling {
    /// One number everywhere.
    case constant(Float)
    /// Draws from a normal distribution around 0 with this standard deviation.
    case normal(Float)

    func parameter(
        _ name: String,
        _ shape: [Int],
        decay: WeightDecay,
        _ weights: inout some WeightSource
    ) -> Parameter {
        weights.parameter(name, shape, self, decay)
    }
}

/// Weights of a new model.
struct DrawnWeights<Generator: RandomNumberGenerator>: WeightSource {
    /// The source of the draws, as far as it has come.
    private(set) var generator: Generator

    init(_ generator: Generator) { self.generator = generator }

    mutating func parameter(_ name: String, _ shape: [Int], _ filling: Filling, _ decay: WeightDecay) -> Parameter {
        let count = shape.reduce(1, *)
        switch filling {
        case .constant(let value):
            return Parameter(name, Tensor([Float](repeating: value, count: count), shape: shape), decay: decay)
        case .normal(let deviation):
            var values = [Float](repeating: 0, count: count)
            // Box and Muller's method gives two draws at a time.
            for index in stride(from: 0, to: count, by: 2) {
                let radius = sqrt(-2 * log(Float.random(in: Float.leastNormalMagnitude..<1, using: &generator)))
                let angle = 2 * Float.pi * Float.random(in: 0..<1, using: &generator)
                values[index] = deviation * radius * cos(angle)
                if index + 1 < count { values[index + 1] = deviation * radius * sin(angle) }
            }
            return Parameter(name, Tensor(values, shape: shape), decay: decay)
        }
    }
}

/// Names and shapes of a model's weights, without their memory: whatever the configuration asks for, this is small.
struct DeclaredWeights: WeightSource {
    private(set) var list: [(name: String, shape: [Int])] = []
    private static let nothing = Tensor(shape: [0])

    mutating func parameter(_ name: String, _ shape: [Int], _ filling: Filling, _ decay: WeightDecay) -> Parameter {
        list.append((name, shape))
        return Parameter(name, Self.nothing, decay: decay)
    }
}

/// Weights of a file whose header was held against what the model declares, before the model is made.
struct StoredWeights: WeightSource {
    private let file: SafeTensors
    private var failure: SafeTensorsError?

    /// Checks that the file has the weights that are declared, and no others.
    ///
    /// - Throws: what `declare` throws, or `SafeTensorsError`.
    init(_ file: SafeTensors, declare: (inout DeclaredWeights) throws(ModelConfigurationError) -> Void) throws {
        var declared = DeclaredWeights()
        try declare(&declared)
        try file.check(declared.list)
        self.file = file
    }

    mutating func parameter(_ name: String, _ shape: [Int], _ filling: Filling, _ decay: WeightDecay) -> Parameter {
        do {
            return Parameter(name, try file.weight(name), decay: decay)
        } catch {
            // `finish` throws it; until then the model takes no more memory.
            failure = failure ?? error
            return Parameter(name, Tensor(shape: [0]), decay: decay)
        }
    }

    /// Throws the first failure of the reading; the model is of no use then.
    func finish() throws(SafeTensorsError) {
        if let failure { throw failure }
    }
}
