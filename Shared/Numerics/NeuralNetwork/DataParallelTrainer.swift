import Concurrency
import Synchronization
public import Tensors

/// One step of training after another, each batch split into shards that run on a thread each.
///
/// The number of shards is part of the arithmetic, as dropout masks and sums depend on it: the same seed and shards give
/// the same bits, whatever the number of processors. Blocks the calling thread.
public final class DataParallelTrainer {
    /// What a step found.
    public struct Result: Sendable, Equatable {
        /// The sum of the shards' losses.
        public let loss: Float
        /// The norm of the summed gradient before clipping; not finite when the step was left out.
        public let gradientNorm: Float
    }

    /// The number of shards.
    public let shards: Int
    /// What changes the parameters.
    public let optimizer: AdamW
    private let seed: UInt64
    private let lanes: [Lane]

    /// The graph of one shard; the lock is what lets it go from thread to thread.
    private final class Lane: Sendable {
        let graph: Mutex<Graph>

        init(seed: UInt64, precision: Precision) {
            graph = Mutex(Graph(recording: true, seed: seed, precision: precision))
        }
    }

    /// Makes a trainer.
    ///
    /// - Parameters:
    ///   - shards: into how many parts each batch is split, usually the number of cores.
    ///   - optimizer: what changes the parameters.
    ///   - seed: of all dropout masks.
    ///   - precision: in which numbers matrix products read their factors.
    public init(shards: Int, optimizer: AdamW, seed: UInt64, precision: Precision = .float32) {
        precondition(shards > 0, "a trainer needs a shard, got \(shards)")
        self.shards = shards
        self.optimizer = optimizer
        self.seed = seed
        lanes = (0..<shards).map { Lane(seed: UInt64($0), precision: precision) }
    }

    /// Runs the closure for each shard, and changes the parameters by the sum of the gradients.
    ///
    /// - Parameters:
    ///   - learningRate: of this step.
    ///   - loss: builds the loss of a shard, its part of the batch's sum divided by the batch's size; shards run at the
    ///     same time. Nil when the shard has nothing to learn.
    /// - Returns: the loss before the change, and the gradient's norm.
    /// - Throws: what a shard threw, of the lowest shard first; then no parameter was changed.
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
