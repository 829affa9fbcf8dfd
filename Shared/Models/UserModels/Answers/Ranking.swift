import Foundation

/// Metrics of a full-catalogue ranking, accumulated user by user.
///
/// Ranks start at 1. With one relevant item per user, HR@k equals Recall@k.
public struct RankingMetrics: Sendable, Equatable {
    /// The cut-offs at which metrics are computed.
    public let cutoffs: [Int]
    /// The number of users ranked.
    public private(set) var count = 0
    private var hits: [Int]
    private var gains: [Double]
    private var reciprocals: [Double]
    private var reciprocalRanks = 0.0

    /// Starts with no users.
    public init(cutoffs: [Int] = [1, 5, 10]) {
        self.cutoffs = cutoffs
        hits = Array(repeating: 0, count: cutoffs.count)
        gains = Array(repeating: 0, count: cutoffs.count)
        reciprocals = Array(repeating: 0, count: cutoffs.count)
    }

    /// Adds one user.
    ///
    /// - Parameter rank: the rank of the relevant item, from 1; nil when it is not in the ranking at all.
    public mutating func add(rank: Int?) {
        count += 1
        guard let rank else { return }
        precondition(rank >= 1, "rank \(rank) is below 1")
        reciprocalRanks += 1 / Double(rank)
        for (index, cutoff) in cutoffs.enumerated() where rank <= cutoff {
            hits[index] += 1
            gains[index] += 1 / log2(Double(rank) + 1)
            reciprocals[index] += 1 / Double(rank)
        }
    }

    /// Adds the counts of another instance with the same cut-offs.
    public mutating func add(_ other: RankingMetrics) {
        precondition(cutoffs == other.cutoffs, "cut-offs \(cutoffs) and \(other.cutoffs) differ")
        count += other.count
        reciprocalRanks += other.reciprocalRanks
        for index in cutoffs.indices {
            hits[index] += other.hits[index]
            gains[index] += other.gains[index]
            reciprocals[index] += other.reciprocals[index]
        }
    }

    /// Fraction of users whose relevant item is among the first `cutoff`; 0 without users.
    public func hitRate(at cutoff: Int) -> Double { mean(cutoffs.firstIndex(of: cutoff).map { Double(hits[$0]) }) }

    /// The 95 % interval of `hitRate(at:)`, if the users are a sample of many; from 0 to 1 without users.
    ///
    /// - Source: Wilson's score interval, "Probable inference, the law of succession, and statistical inference", 1927.
    public func hitRateInterval(at cutoff: Int) -> ClosedRange<Double> {
        guard count > 0 else { return 0...1 }
        // The 97.5 % quantile of the normal distribution.
        let (z, n, rate) = (1.959963984540054, Double(count), hitRate(at: cutoff))
        let middle = (rate + z * z / (2 * n)) / (1 + z * z / n)
        let half = z / (1 + z * z / n) * (rate * (1 - rate) / n + z * z / (4 * n * n)).squareRoot()
        // Where nobody or everybody has a hit, an end is the rate itself, and rounding must not put it on the other side.
        return max(min(middle - half, rate), 0)...min(max(middle + half, rate), 1)
    }

    /// Normalised discounted cumulative gain at a cut-off; 0 without users.
    public func ndcg(at cutoff: Int) -> Double { mean(cutoffs.firstIndex(of: cutoff).map { gains[$0] }) }

    /// Mean reciprocal rank at a cut-off, where lower ranks count as 0; 0 without users.
    public func mrr(at cutoff: Int) -> Double { mean(cutoffs.firstIndex(of: cutoff).map { reciprocals[$0] }) }

    /// Mean reciprocal rank over the whole ranking; 0 without users.
    public var meanReciprocalRank: Double { mean(reciprocalRanks) }

    private func mean(_ sum: Double?) -> Double {
        guard let sum, count > 0 else { return 0 }
        return sum / Double(count)
    }
}

/// Full-catalogue ranking.
public enum Ranking {
    /// The rank of one item among all.
    ///
    /// - Parameters:
    ///   - target: the relevant item.
    ///   - scores: one score per item of the catalogue.
    ///   - excluded: items that are left out, such as those the user has seen; the target itself is always included.
    /// - Returns: 1 + the number of other items whose score is not lower. Ties count against the target, so that a
    ///   model that gives every item the same score gets no credit; so do scores that are not a number.
    public static func rank(
        of target: Int,
        scores: ArraySlice<Float>,
        excluding excluded: Set<Int> = []
    ) -> Int {
        let start = scores.startIndex
        let own = scores[start + target]
        // Count all items including the target, then subtract those that are left out.
        var ahead = scores.reduce(0) { $0 + ($1 < own ? 0 : 1) } - 1
        for item in excluded where item != target && item < scores.count && !(scores[start + item] < own) {
            ahead -= 1
        }
        return ahead + 1
    }

    /// The best items, best first; ties in order of index.
    public static func top(
        _ count: Int,
        scores: some RandomAccessCollection<Float>,
        excluding excluded: Set<Int> = []
    ) -> [Int] {
        let candidates = scores.enumerated().filter { !excluded.contains($0.offset) }
        return candidates.sorted { ($0.element, $1.offset) > ($1.element, $0.offset) }.prefix(count).map(\.offset)
    }
}
