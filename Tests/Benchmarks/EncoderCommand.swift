import Concurrency
import Foundation
import Bytes
import NeuralNetwork
import ServiceRuntime
import Synchronization
import Tensors
import UserModels

/// `benchmarks encoder`: a training step and the encoding of timelines, at one shape, beside OpenBLAS's own speed.
///
/// The useful work counted is that of the products a step cannot do without: three times two operations for each weight
/// and event, and for each pair of an event and one before it.
enum EncoderCommand {
    private static let items = integer("items", 3_416, "Items of the catalogue")
    private static let width = integer("width", 128, "Width of an event's vector")
    private static let layers = integer("layers", 2, "Blocks of the encoder")
    private static let heads = integer("heads", 4, "Attention heads")
    private static let length = integer("length", 200, "Events of a timeline")
    private static let batch = integer("batch", 32, "Timelines of a step")
    private static let threads = integer("threads", 2, "Threads")
    private static let repeats = integer("repeats", 10, "Steps that are timed, after three that are not")
    private static let precision = ConfigurationKey<String>(
        "precision",
        default: "bfloat16",
        help: "In which numbers products read their factors: float32 or bfloat16",
        expectation: "float32 or bfloat16"
    ) { Precision(rawValue: $0) != nil }

    private static func integer(_ name: String, _ value: Int, _ help: String) -> ConfigurationKey<Int> {
        ConfigurationKey(name, default: value, in: 1...10_000_000, help: help)
    }

    /// The command as the program lists it.
    static let command = Command(
        "encoder",
        summary: "Times a training step of the encoder, and the encoding of a batch of timelines",
        keys: [items, width, layers, heads, length, batch, threads, repeats, precision]
    ) { context in
        let reader = context.configuration
        let shape = Shape(
            items: try reader.value(of: items),
            width: try reader.value(of: width),
            layers: try reader.value(of: layers),
            heads: try reader.value(of: heads),
            length: try reader.value(of: length),
            batch: try reader.value(of: batch)
        )
        let threads = try reader.value(of: threads)
        let repeats = try reader.value(of: repeats)
        let precision = Precision(rawValue: try reader.value(of: precision)) ?? .float32
        let result = try measure(shape, threads: threads, repeats: repeats, precision: precision)
        let encoder = JSONEncoder()
        encoder.keyEncodingStrategy = .convertToSnakeCase
        encoder.outputFormatting = [.sortedKeys]
        print(String(decoding: try encoder.encode(result), as: UTF8.self))
    }

    struct Shape: Codable, Sendable {
        var items: Int
        var width: Int
        var layers: Int
        var heads: Int
        var length: Int
        var batch: Int

        /// Useful operations of a training step.
        var operations: Double {
            let tokens = Double(batch * length)
            let weights = Double(layers * 12 * width * width + items * width)
            let pairs = Double(layers * batch * length * length * width)
            return 6 * tokens * weights + 6 * pairs
        }
    }

    struct Result: Codable, Sendable {
        var shape: Shape
        var threads: Int
        var precision: Precision
        var runtime: String
        var trainMillisecondsPerStep: Double
        var trainTokensPerSecond: Double
        var trainGflops: Double
        var encodeTimelinesPerSecond: Double
        var openblasGflops: Double
    }

    private static func measure(_ shape: Shape, threads: Int, repeats: Int, precision: Precision) throws -> Result {
        var configuration = AutoregressiveEncoder.Configuration(itemCount: shape.items, categoryCount: 0)
        configuration.width = shape.width
        configuration.layers = shape.layers
        configuration.heads = shape.heads
        configuration.length = shape.length
        configuration.feedForwardWidth = 4 * shape.width
        configuration.dropout = 0
        configuration.hiddenItemShare = 0
        configuration.categoryLossWeight = 0
        configuration.features.usesCategories = false
        configuration.features.usesRating = false
        configuration.features.usesTimeGap = false
        var random = SeededRandom(seed: 1)
        let encoder = try AutoregressiveEncoder(configuration: configuration, using: &random)
        let windows = (0..<shape.batch).map { _ in
            ArraySlice(
                (0...shape.length).map { _ in
                    IndexedEvent(item: Int32(random.below(shape.items)))
                }
            )
        }
        let batches = (0..<threads).map { thread in
            let part = windows[thread * shape.batch / threads..<(thread + 1) * shape.batch / threads]
            return NextEventBatch(windows: Array(part))
        }
        let total = batches.reduce(0) { $0 + $1.targetCount }
        let trainer = DataParallelTrainer(
            shards: threads,
            optimizer: AdamW(groups: [AdamW.Group(encoder.parameters)]),
            seed: 1,
            precision: precision
        )
        let train = try median(of: repeats) {
            _ = try trainer.step(learningRate: 1e-3) { graph, shard in
                encoder.loss(graph, batches[shard], targetCount: total)
            }
        }
        let lanes = (0..<threads).map { _ in Lane(precision) }
        let encode = median(of: repeats) {
            BlockingExecutor.concurrently(threads) { thread in
                lanes[thread].graph.withLock { graph in
                    _ = encoder.hidden(graph, batches[thread].events)
                    graph.reset()
                }
            }
        }
        return Result(
            shape: shape,
            threads: threads,
            precision: precision,
            runtime: ComputeRuntime.description,
            trainMillisecondsPerStep: train * 1e3,
            trainTokensPerSecond: Double(shape.batch * shape.length) / train,
            trainGflops: shape.operations / train / 1e9,
            encodeTimelinesPerSecond: Double(shape.batch) / encode,
            openblasGflops: ComputeRuntime.productGflops(size: 1_024, threads: threads)
        )
    }

    /// A thread's graph.
    private final class Lane: Sendable {
        let graph: Mutex<Graph>

        init(_ precision: Precision) { graph = Mutex(Graph(recording: false, seed: 0, precision: precision)) }
    }

    /// Seconds of the middle one of several runs, after three to warm up.
    private static func median(of repeats: Int, _ body: () throws -> Void) rethrows -> Double {
        var seconds: [Double] = []
        for run in 0..<repeats + 3 {
            let start = ContinuousClock.now
            try body()
            let duration = (ContinuousClock.now - start).components
            if run >= 3 { seconds.append(Double(duration.seconds) + Double(duration.attoseconds) * 1e-18) }
        }
        return seconds.sorted()[repeats / 2]
    }
}
