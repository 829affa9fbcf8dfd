package import ModelFiles
package import NeuralNetwork
package import Tensors

/// A model with one initializer for its weights, whether they are drawn or read from a file.
package protocol WeightedModel: Module {
    /// The model's shape.
    associatedtype Configuration

    /// Makes a model whose weights come from `weights`.
    init(configuration: Configuration, weights: inout some WeightSource) throws(ModelConfigurationError)
}

extension WeightedModel {
    /// Makes a model with random weights.
    ///
    /// - Throws: `ModelConfigurationError` naming the value that is out of range.
    package init(
        configuration: Configuration,
        using generator: inout some RandomNumberGenerator
    ) throws(ModelConfigurationError) {
        var drawn = DrawnWeights(generator)
        defer { generator = drawn.generator }
        try self.init(configuration: configuration, weights: &drawn)
    }

    /// Makes a model from the weights in a file, whose names and shapes are checked against the configuration first.
    ///
    /// - Throws: `ModelConfigurationError` naming the value that is out of range, or `SafeTensorsError` naming the
    ///   weight that is missing, unexpected, of another shape or not finite.
    package init(configuration: Configuration, weights file: SafeTensors) throws {
        var stored = try StoredWeights(file) { (declared) throws(ModelConfigurationError) in
            _ = try Self(configuration: configuration, weights: &declared)
        }
        try self.init(configuration: configuration, weights: &stored)
        try stored.finish()
    }
}
