import Concurrency
public import Messages
import NeuralNetwork
import Synchronization
import Tensors

/// What an encoder gives for one user.
public struct EncodedUser: Sendable, Equatable {
    /// What the language model reads, shape [rows, columns], row-major.
    public let context: [Float]
    /// The hidden state after the last event, for similarity search; zeros without events.
    ///
    /// The encoder predicts the next event from this vector, so users are near each other who would take the same
    /// things next. The mean over events would say what they took in the past.
    public let pooled: [Float]
}

/// Encodes timelines, many at a time.
///
/// Not `Sendable`: one actor on a `BlockingExecutor` owns it, because `encode` blocks its thread while others help.
public final class EncodingEngine {
    /// The pool of memory of one thread; the lock is what lets it go from thread to thread.
    private final class Lane: Sendable {
        let graph = Mutex(Graph(recording: false, seed: 0))
    }

    /// Timelines of about the same length that share a pass; few enough for their vectors to stay in the cache.
    private static let chunkSize = 16

    private let encoder: AutoregressiveEncoder
    private let perceiver: Perceiver
    private let features: EventFeatures
    private let lanes: [Lane]

    /// Makes an engine.
    ///
    /// - Parameters:
    ///   - encoder: reads timelines.
    ///   - perceiver: turns what the encoder read into a context.
    ///   - features: what is read of an event.
    ///   - threads: how many threads work on a batch.
    public init(encoder: AutoregressiveEncoder, perceiver: Perceiver, features: EventFeatures, threads: Int) {
        self.encoder = encoder
        self.perceiver = perceiver
        self.features = features
        lanes = (0..<max(threads, 1)).map { _ in Lane() }
    }

    /// Encodes timelines of any lengths; of each its last events count, as many as the model reads.
    ///
    /// A user's numbers depend on the other timelines of the batch by rounding only, less than 1e-5.
    ///
    /// - Parameter timelines: the events of each user, oldest first.
    /// - Returns: one result per timeline, in order. A timeline without events gives the learnt context without history.
    public func encode(_ timelines: [[TimelineEvent]]) -> [EncodedUser] {
        // Neighbours in length share a chunk, so that little is computed for padding.
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
