import Concurrency
public import Messages
import NeuralNetwork
import Synchronization
import Tensors

/// The encoding of one user.
public struct EncodedUser: Sendable, Equatable {
    /// The context for the language model, shape [rows, columns], row-major.
    public let context: [Float]
    /// The hidden state after the last event, for similarity search; zeros without events.
    ///
    /// The encoder predicts the next event from this vector, so users who would choose the same things next are close
    /// to each other. The mean over events would reflect what they chose in the past.
    public let pooled: [Float]
}

/// Encodes timelines, many at a time.
///
/// Not `Sendable`: one actor on a `BlockingExecutor` owns it, because `encode` blocks its thread while others help.
public final class EncodingEngine {
    /// The memory pool of one thread; the lock lets it move between threads.
    private final class Lane: Sendable {
        let graph = Mutex(Graph(recording: false, seed: 0))
    }

    /// Timelines of similar length that share a pass; few enough for their vectors to stay in cache.
    private static let chunkSize = 16

    private let encoder: AutoregressiveEncoder
    private let perceiver: Perceiver
    private let features: EventFeatures
    private let lanes: [Lane]

    /// Makes an engine.
    ///
    /// - Parameters:
    ///   - encoder: reads timelines.
    ///   - perceiver: turns the encoder's output into a context.
    ///   - features: the event features to read.
    ///   - threads: number of threads that work on a batch.
    public init(encoder: AutoregressiveEncoder, perceiver: Perceiver, features: EventFeatures, threads: Int) {
        self.encoder = encoder
        self.perceiver = perceiver
        self.features = features
        lanes = (0..<max(threads, 1)).map { _ in Lane() }
    }

    /// Multiply-adds of all matrix products so far, attention's included.
    package var multiplyAdds: Int { lanes.reduce(0) { $0 + $1.graph.withLock(\.multiplyAdds) } }

    /// Encodes timelines of any length; only the last events count, up to the model's maximum length.
    ///
    /// A user's values depend on the other timelines of the batch only by rounding, less than 1e-5.
    ///
    /// - Parameter timelines: the events of each user, oldest first.
    /// - Returns: one result per timeline, in order. A timeline without events gets the learnt context without history.
    public func encode(_ timelines: [[TimelineEvent]]) -> [EncodedUser] {
        // Timelines of similar length share a chunk, to minimize padding.
        let order = timelines.indices.sorted { (timelines[$0].count, $0) < (timelines[$1].count, $1) }
        let chunks = stride(from: 0, to: order.count, by: Self.chunkSize).map {
            order[$0..<min($0 + Self.chunkSize, order.count)]
        }
        let results = Mutex([EncodedUser?](repeating: nil, count: timelines.count))
        let next = Atomic(0)
        let (lanes, encoder, perceiver, features) = (lanes, encoder, perceiver, features)
        BlockingExecutor.concurrently(min(lanes.count, chunks.count)) { lane in
            lanes[lane].graph.withLock { graph in
                while true {
                    let chunk = next.add(1, ordering: .relaxed).oldValue
                    guard chunk < chunks.count else { return }
                    let encoded = Self.encoded(
                        graph,
                        encoder,
                        perceiver,
                        chunks[chunk].map { features.indexed(timelines[$0].suffix(encoder.configuration.length))[...] }
                    )
                    results.withLock { results in
                        for (index, user) in zip(chunks[chunk], encoded) { results[index] = user }
                    }
                }
            }
        }
        return results.withLock { $0.compactMap(\.self) }
    }

    private static func encoded(
        _ graph: Graph,
        _ encoder: AutoregressiveEncoder,
        _ perceiver: Perceiver,
        _ timelines: [ArraySlice<IndexedEvent>]
    ) -> [EncodedUser] {
        graph.reset()
        let batch = EventBatch(timelines)
        let d = encoder.configuration.width
        let contexts: Variable
        let pooled: Variable
        if batch.length == 0 {
            contexts = perceiver.contextsWithoutHistory(graph, count: batch.count)
            pooled = graph.constant([Float](repeating: 0, count: batch.count * d), shape: [batch.count, d])
        } else {
            let hidden = encoder.hidden(graph, batch)
            contexts = perceiver.contexts(
                graph,
                events: hidden,
                timelines: (0..<batch.count).map(Int32.init),
                prefixes: batch.lengths
            )
            pooled = encoder.lastHidden(graph, hidden: hidden, batch)
        }
        let contextValues = graph.values(of: contexts)
        let pooledValues = graph.values(of: pooled)
        let size = contextValues.count / batch.count
        return timelines.indices.map { index in
            EncodedUser(
                context: Array(contextValues[index * size..<(index + 1) * size]),
                pooled: Array(pooledValues[index * d..<(index + 1) * d])
            )
        }
    }
}
