import Foundation
import ModelFiles
package import NeuralNetwork
import Tensors

/// The source of a model's weights during initialization.
///
/// Every model has a single initializer, which requests its weights one after the other. So the weights drawn for a new
/// model, declared by a configuration and read from a file cannot differ.
package protocol WeightSource {
    /// The parameter of this name and shape. `decay` has no default, which would silently make new tables decay.
    mutating func parameter(_ name: String, _ shape: [Int], _ filling: Filling, _ decay: WeightDecay) -> Parameter
}

/// How a new weight is initialized.
package enum Filling {
    /// The same number everywhere.
    case constant(Float)
    /// Samples from a normal distribution around 0 with this standard deviation.
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

/// Randomly drawn weights of a new model.
struct DrawnWeights<Generator: RandomNumberGenerator>: WeightSource {
    /// The random number generator in its current state.
    private(set) var generator: Generator

    init(_ generator: Generator) { self.generator = generator }

    mutating func parameter(_ name: String, _ shape: [Int], _ filling: Filling, _ decay: WeightDecay) -> Parameter {
        let count = shape.reduce(1, *)
        switch filling {
        case .constant(let value):
            return Parameter(name, Tensor([Float](repeating: value, count: count), shape: shape), decay: decay)
        case .normal(let deviation):
            var values = [Float](repeating: 0, count: count)
            // The Box-Muller method gives two samples at a time.
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

/// Names and shapes of a model's weights, without their memory: small, whatever the configuration asks for.
struct DeclaredWeights: WeightSource {
    private(set) var list: [(name: String, shape: [Int])] = []
    private static let nothing = Tensor(shape: [0])

    mutating func parameter(_ name: String, _ shape: [Int], _ filling: Filling, _ decay: WeightDecay) -> Parameter {
        list.append((name, shape))
        return Parameter(name, Self.nothing, decay: decay)
    }
}

/// Weights of a file whose header was checked against the model's declarations before the model is made.
struct StoredWeights: WeightSource {
    private let file: SafeTensors
    private var failure: SafeTensorsError?

    /// Checks that the file has exactly the declared weights.
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
            // `finish` throws it; until then the model takes no further memory.
            failure = failure ?? error
            return Parameter(name, Tensor(shape: [0]), decay: decay)
        }
    }

    /// Throws the first read failure; the model is unusable then.
    func finish() throws(SafeTensorsError) {
        if let failure { throw failure }
    }
}

/// Weights of a language model's files, which were checked against its configuration when they were opened.
struct SourceWeights: WeightSource {
    private let source: LanguageModelSource
    private var failure: ModelFileError?

    init(_ source: LanguageModelSource) { self.source = source }

    mutating func parameter(_ name: String, _ shape: [Int], _ filling: Filling, _ decay: WeightDecay) -> Parameter {
        guard failure == nil else { return Parameter(name, Tensor(shape: [0]), decay: decay) }
        do throws(ModelFileError) {
            return Parameter(name, try source.tensor(name).tensor(), decay: decay)
        } catch {
            failure = error
            return Parameter(name, Tensor(shape: [0]), decay: decay)
        }
    }

    /// Throws the first read failure; the model is unusable then.
    func finish() throws(ModelFileError) {
        if let failure { throw failure }
    }
}
