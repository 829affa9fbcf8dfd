import Datasets
import Concurrency
import NeuralNetwork
import Synchronization
import Tensors
import UserModels

/// Ranks the whole catalogue for every user's held-out event, by the encoder's own scores.
struct EncoderEvaluation: Sendable {
    let encoder: any UserEncoder
    let histories: Histories
    let threads: Int

    /// The ranking metrics over all users.
    struct Ranks: Sendable {
        /// Without items the user has already had.
        var filtered = RankingMetrics()
        /// With all items.
        var unfiltered = RankingMetrics()
    }

    /// Ranks for all users that have a held-out event.
    func ranks(_ split: Split) -> Ranks { ranks(split, users: histories.evaluatedUsers) }

    /// Ranks for some users.
    func ranks(_ split: Split, users: [Int]) -> Ranks {
        // Scores over a large catalogue would not fit into memory for many users at a time.
        let batchCount = max(1, min(128, 4_194_304 / encoder.configuration.itemCount))
        let batches = stride(from: 0, to: users.count, by: batchCount).map {
            Array(users[$0..<min($0 + batchCount, users.count)])
        }
        // Added in thread order, because sums of doubles depend on it.
        let parts = Mutex([Ranks](repeating: Ranks(), count: threads))
        // The item vectors are the same for all users, and may have to be computed.
        let making = Graph(recording: false, seed: 0)
        let items = making.tensor(of: encoder.itemVectors(making))
        BlockingExecutor.concurrently(threads) { thread in
            let graph = Graph(recording: false, seed: 0)
            var own = Ranks()
            for index in stride(from: thread, to: batches.count, by: threads) {
                rank(batches[index], split, items, graph, &own)
                graph.reset()
            }
            parts.withLock { [own] in $0[thread] = own }
        }
        return parts.withLock { parts in
            parts.reduce(into: Ranks()) { total, part in
                total.filtered.add(part.filtered)
                total.unfiltered.add(part.unfiltered)
            }
        }
    }

    private func rank(_ users: [Int], _ split: Split, _ items: Tensor, _ graph: Graph, _ ranks: inout Ranks) {
        let length = encoder.configuration.length
        let batch = EventBatch(
            users.map { histories.before(histories.target(split, user: $0), user: $0, length: length) }
        )
        let states = encoder.states(graph, batch)
        let scores = graph.values(of: encoder.scores(graph, states: states, items: graph.constant(items)))
        let itemCount = encoder.configuration.itemCount
        for (row, user) in users.enumerated() {
            let target = histories.target(split, user: user)
            let item = Int(histories.events[user][target].item)
            let seen = Set(histories.events[user][..<target].map { Int($0.item) })
            let own = scores[row * itemCount..<(row + 1) * itemCount]
            ranks.filtered.add(rank: Ranking.rank(of: item, scores: own, excluding: seen))
            ranks.unfiltered.add(rank: Ranking.rank(of: item, scores: own))
        }
    }

    /// The most-popular baseline for some users; all by default.
    static func mostPopular(_ histories: Histories, _ split: Split, users: [Int]? = nil) -> Ranks {
        let counts = histories.itemCounts.map(Float.init)
        var ranks = Ranks()
        for user in users ?? histories.evaluatedUsers {
            let target = histories.target(split, user: user)
            let item = Int(histories.events[user][target].item)
            let seen = Set(histories.events[user][..<target].map { Int($0.item) })
            ranks.filtered.add(rank: Ranking.rank(of: item, scores: counts[...], excluding: seen))
            ranks.unfiltered.add(rank: Ranking.rank(of: item, scores: counts[...]))
        }
        return ranks
    }
}
