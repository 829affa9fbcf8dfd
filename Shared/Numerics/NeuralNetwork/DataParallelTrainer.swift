import Concurrency
import Synchronization
public import Tensors

/// Runs training steps, each with its batch split into shards that run on one thread each.
///
/// The number of shards is part of the arithmetic, as dropout masks and sums depend on it: the same seed and shards
/// give bit-identical results on any number of processors. Blocks the calling thread.
public final class DataParallelTrainer {
    /// The result of a step.
    public struct Result: Sendable, Equatable {
        /// The sum of the shards' losses.
        public let loss: Float
        /// The norm of the summed gradient before clipping; not finite when the step was skipped.
        public let gradientNorm: Float
    }

    /// The number of shards.
    public let shards: Int
    /// The optimizer that updates the parameters.
    public let optimizer: AdamW
    private let seed: UInt64
    private let lanes: [Lane]

    /// The graph of one shard; the lock lets it move between threads.
    private final class Lane: Sendable {
        let graph: Mutex<Graph>

        init(seed: UInt64, precision: Precision) {
            graph = Mutex(Graph(recording: true, seed: seed, precision: precision))
        }
    }

    /// Makes a trainer.
    ///
    /// - Parameters:
    ///   - shards: the number of parts that each batch is split into, usually the number of cores.
    ///   - optimizer: updates the parameters.
    ///   - seed: seed of all dropout masks.
    ///   - precision: the number format of the operands of matrix products.
    public init(shards: Int, optimizer: AdamW, seed: UInt64, precision: Precision = .float32) {
        precondition(shards > 0, "a trainer needs a shard, got \(shards)")
        self.shards = shards
        self.optimizer = optimizer
        self.seed = seed
        lanes = (0..<shards).map { Lane(seed: UInt64($0), precision: precision) }
    }

    /// Runs the closure for each shard and updates the parameters with the sum of the gradients.
    ///
    /// - Parameters:
    ///   - learningRate: of this step.
    ///   - loss: builds the loss of a shard, its part of the batch's sum divided by the batch's size; shards run at the
    ///     same time. Nil when the shard has nothing to learn.
    /// - Returns: the loss before the update, and the gradient norm.
    /// - Throws: the error of the lowest-numbered shard that failed; then no parameter was changed.
    public func step(
        learningRate: Float,
        loss: @Sendable (_ graph: Graph, _ shard: Int) throws -> Variable?
    ) throws -> Result {
        let step = UInt64(optimizer.stepCount)
        let outcomes = Mutex([Swift.Result<Float, any Error>?](repeating: nil, count: shards))
        let (lanes, seed) = (lanes, seed)
        BlockingExecutor.concurrently(shards) { shard in
            let outcome = Swift.Result<Float, any Error> {
                try lanes[shard].graph.withLock { graph in
                    graph.reset(seed: SeededRandom.mix(seed, step, UInt64(shard)))
                    guard let variable = try loss(graph, shard) else { return 0 }
                    let value = graph.tensor(of: variable)[0]
                    graph.backward(variable)
                    return value
                }
            }
            outcomes.withLock { $0[shard] = outcome }
        }
        var total: Float = 0
        for outcome in outcomes.withLock({ $0 }) { total += try outcome?.get() ?? 0 }
        let gradients = optimizer.parameters.map { parameter in
            lanes.compactMap { lane in lane.graph.withLock { $0.gradient(of: parameter) } }
        }
        let norm = optimizer.step(gradients: gradients, learningRate: learningRate, threads: shards)
        return Result(loss: total, gradientNorm: norm)
    }
}
