import Datasets
import Concurrency
import NeuralNetwork
import Synchronization
import UserModels

/// Encodes every user's last events with a trained encoder, a batch of users at a time.
///
/// Only one batch is held in memory, however many users there are.
struct TimelineEncoding: Sendable {
    /// Which vectors of a user are kept.
    enum Rows: String, CaseIterable, Sendable {
        /// The state that scores the next item: one vector.
        case last
        /// The hidden states after each event: one vector per event.
        case events
    }

    /// A user's embedding.
    struct EncodedTimeline: Sendable {
        /// The user's index in the data set.
        var user: Int
        /// The number of events read.
        var eventCount: Int
        /// Shape [d], or [eventCount, d].
        var values: [Float]
    }

    private static let batchCount = 512
    /// Timelines of similar length that share a forward pass.
    private static let chunkCount = 16

    let encoder: any UserEncoder
    let dataset: PreparedDataset
    let rows: Rows
    let threads: Int
    private let features: EventFeatures

    /// Prepares the encoding.
    init(encoder: any UserEncoder, dataset: PreparedDataset, rows: Rows, threads: Int) {
        self.encoder = encoder
        self.dataset = dataset
        self.rows = rows
        self.threads = threads
        features = EventFeatures(configuration: encoder.configuration.features, catalogue: dataset.catalogue)
    }

    /// How many of a user's events are read, counted from the last.
    func eventCount(ofUser user: Int) -> Int {
        min(dataset.eventCount(ofUser: user), encoder.configuration.length)
    }

    /// Encodes all users and delivers them in the data set's order, a batch at a time.
    ///
    /// - Parameter receive: takes a batch, and returns whether to continue.
    /// - Returns: the seconds spent on encoding, without the time in `receive`.
    func encode(_ receive: ([EncodedTimeline]) throws -> Bool) rethrows -> Double {
        var seconds = 0.0
        for start in stride(from: 0, to: dataset.users.count, by: Self.batchCount) {
            let clock = ContinuousClock.now
            let batch = encoded(start..<min(start + Self.batchCount, dataset.users.count))
            seconds += (ContinuousClock.now - clock).inSeconds
            guard try receive(batch) else { break }
        }
        return seconds
    }

    private func encoded(_ users: Range<Int>) -> [EncodedTimeline] {
        // Timelines of similar length share a chunk, so that little is computed for padding.
        let order = users.sorted { (eventCount(ofUser: $0), $0) < (eventCount(ofUser: $1), $1) }
        let chunks = stride(from: 0, to: order.count, by: Self.chunkCount).map {
            order[$0..<min($0 + Self.chunkCount, order.count)]
        }
        let results = Mutex([EncodedTimeline]())
        let next = Atomic(0)
        BlockingExecutor.concurrently(min(threads, chunks.count)) { _ in
            let graph = Graph(recording: false, seed: 0)
            while true {
                let chunk = next.add(1, ordering: .relaxed).oldValue
                guard chunk < chunks.count else { return }
                let own = encoded(Array(chunks[chunk]), graph)
                results.withLock { $0 += own }
                graph.reset()
            }
        }
        return results.withLock { $0 }.sorted { $0.user < $1.user }
    }

    private func encoded(_ users: [Int], _ graph: Graph) -> [EncodedTimeline] {
        let timelines = users.map { user in
            let count = dataset.eventCount(ofUser: user)
            return features.indexed(dataset.timeline(user: user, count - eventCount(ofUser: user)..<count))[...]
        }
        let batch = EventBatch(timelines)
        let d = encoder.configuration.width
        let isLast = rows == .last
        let values = graph.values(of: isLast ? encoder.states(graph, batch) : encoder.hidden(graph, batch))
        return users.enumerated().map { row, user in
            let count = timelines[row].count
            let start = row * (isLast ? 1 : batch.length) * d
            return EncodedTimeline(
                user: user,
                eventCount: count,
                values: Array(values[start..<start + (isLast ? 1 : count) * d])
            )
        }
    }
}
