import NeuralNetwork
import Synchronization
import Tensors

/// Scores all items for a user, as the encoder's own head does.
///
/// The items' vectors are computed once; a user costs one product of `V x d`.
public final class ItemScorer: Sendable {
    private let encoder: AutoregressiveEncoder
    /// Shape [V, d].
    private let items: Tensor
    private let graph: Mutex<Graph>

    /// Width of a pooled vector, `d`.
    public var width: Int { encoder.configuration.width }
    /// Number of items, `V`.
    public var itemCount: Int { encoder.configuration.itemCount }

    /// Computes the vectors of all items.
    public init(_ encoder: AutoregressiveEncoder) {
        self.encoder = encoder
        let making = Graph(recording: false, seed: 0)
        items = making.tensor(of: encoder.itemVectors(making))
        graph = Mutex(Graph(recording: false, seed: 0))
    }

    /// Scores all items as the user's next one.
    ///
    /// - Parameter pooled: the state after the user's last event, shape [d].
    /// - Returns: logits, shape [V].
    public func scores(_ pooled: [Float]) -> [Float] {
        precondition(pooled.count == width, "a vector of \(pooled.count) numbers for a head of width \(width)")
        return graph.withLock { graph in
            defer { graph.reset() }
            let states = graph.constant(pooled, shape: [1, width])
            return graph.values(of: encoder.scores(graph, states: states, items: graph.constant(items)))
        }
    }
}
