public import Catalogues
public import ModelFiles
public import NeuralNetwork
public import Tensors

/// A model that reads timelines and scores what comes next.
///
/// Training and evaluation use only this interface. Recording passes and inference passes give the same numbers at the
/// same precision, apart from dropout.
///
/// Shapes: `B` timelines, `L` positions, `d` width, `V` items of the catalogue.
public protocol UserEncoder: Module, Sendable {
    /// The encoder's shape and loss.
    var configuration: EncoderConfiguration { get }

    /// Hidden states of every event, shape [B, L, d]; rows of padding are meaningless.
    func hidden(_ graph: Graph, _ batch: EventBatch) -> Variable

    /// One state per timeline, from which its next item is scored, shape [B, d].
    func states(_ graph: Graph, _ batch: EventBatch) -> Variable

    /// The vectors that items are scored with, shape [V, d]; the same for all timelines.
    func itemVectors(_ graph: Graph) -> Variable

    /// Scores items as the next one.
    ///
    /// - Parameters:
    ///   - graph: runs the operations.
    ///   - states: one row per prediction, shape [M, d].
    ///   - items: the result of `itemVectors(_:)`, shape [V, d].
    /// - Returns: shape [M, V].
    func scores(_ graph: Graph, states: Variable, items: Variable) -> Variable

    /// Makes a training batch of windows.
    ///
    /// - Parameters:
    ///   - windows: up to `length` + 1 events each, oldest first.
    ///   - generator: source of the random draws.
    /// - Returns: inputs and targets; the negatives are still to be drawn.
    func trainingBatch(
        _ windows: [ArraySlice<IndexedEvent>],
        using generator: inout some RandomNumberGenerator
    ) -> NextEventBatch

    /// The loss of a training batch.
    ///
    /// - Parameters:
    ///   - graph: records the operations.
    ///   - batch: inputs and targets; without negatives, the loss runs over the whole catalogue.
    ///   - targetCount: the divisor of the sum over events: the number of targets in all shards of the step.
    /// - Returns: a scalar.
    func loss(_ graph: Graph, _ batch: NextEventBatch, targetCount: Int) -> Variable
}

extension UserEncoder {
    /// Scores every item of the catalogue as the next one, shape [M, V]; see `scores(_:states:items:)`.
    public func scores(_ graph: Graph, states: Variable) -> Variable {
        scores(graph, states: states, items: itemVectors(graph))
    }

    /// Makes a batch in which each event is the target of the events before it, and hides some items.
    public func trainingBatch(
        _ windows: [ArraySlice<IndexedEvent>],
        using generator: inout some RandomNumberGenerator
    ) -> NextEventBatch {
        var batch = NextEventBatch(windows: windows)
        batch.events.hideItems(
            probability: configuration.hiddenItemShare,
            buckets: configuration.features.unknownItemBuckets,
            using: &generator
        )
        return batch
    }
}

extension EncoderConfiguration {
    /// Makes the encoder of this configuration, with random weights.
    ///
    /// - Parameters:
    ///   - catalogue: the items, in the encoder's order.
    ///   - generator: source of the random draws.
    /// - Returns: an encoder of the configuration's kind.
    /// - Throws: `ModelConfigurationError` naming the value that is out of range.
    public func makeEncoder(
        catalogue: Catalogue,
        using generator: inout some RandomNumberGenerator
    ) throws(ModelConfigurationError) -> any UserEncoder {
        switch kind {
        case .autoregressive: try AutoregressiveEncoder(configuration: self, using: &generator)
        case .dual: try DualEncoder(configuration: self, catalogue: catalogue, using: &generator)
        case .masked: try MaskedEncoder(configuration: self, using: &generator)
        }
    }

    /// Makes the encoder of this configuration from the weights in a file, after checking their names and shapes.
    ///
    /// - Parameters:
    ///   - catalogue: the items, in the encoder's order.
    ///   - file: the weights.
    /// - Returns: an encoder of the configuration's kind.
    /// - Throws: `ModelConfigurationError` naming the value that is out of range, or `SafeTensorsError` naming the
    ///   weight.
    public func makeEncoder(catalogue: Catalogue, weights file: SafeTensors) throws -> any UserEncoder {
        switch kind {
        case .autoregressive: try AutoregressiveEncoder(configuration: self, weights: file)
        case .dual: try DualEncoder(configuration: self, catalogue: catalogue, weights: file)
        case .masked: try MaskedEncoder(configuration: self, weights: file)
        }
    }
}
