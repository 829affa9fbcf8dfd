import Foundation
import Testing
import UserModels

@Suite struct RankingTests {
    @Test func countsHitsGainsAndReciprocalRanks() {
        var metrics = RankingMetrics(cutoffs: [1, 5, 10])
        for rank in [1, 3, 10, 11] { metrics.add(rank: rank) }
        metrics.add(rank: nil)
        #expect(metrics.count == 5)
        #expect(metrics.hitRate(at: 1) == 0.2)
        #expect(metrics.hitRate(at: 5) == 0.4)
        #expect(metrics.hitRate(at: 10) == 0.6)
        #expect(abs(metrics.ndcg(at: 10) - (1 + 0.5 + 1 / log2(11)) / 5) < 1e-12)
        #expect(metrics.mrr(at: 1) == 0.2)
        #expect(abs(metrics.mrr(at: 5) - (1 + 1.0 / 3) / 5) < 1e-12)
        #expect(abs(metrics.mrr(at: 10) - (1 + 1.0 / 3 + 0.1) / 5) < 1e-12)
        #expect(abs(metrics.meanReciprocalRank - (1 + 1.0 / 3 + 0.1 + 1.0 / 11) / 5) < 1e-12)
        var twice = metrics
        twice.add(metrics)
        #expect(twice.count == 10 && twice.hitRate(at: 10) == 0.6 && twice.mrr(at: 5) == metrics.mrr(at: 5))
    }

    @Test func theIntervalOfAHitRateIsWilsons() {
        func interval(hits: Int, of count: Int) -> ClosedRange<Double> {
            var metrics = RankingMetrics(cutoffs: [1])
            for user in 0..<count { metrics.add(rank: user < hits ? 1 : nil) }
            return metrics.hitRateInterval(at: 1)
        }
        // The two p of (rate - p)^2 = z^2 p (1 - p) / n, by `numpy.roots`.
        for (hits, count, low, high) in [
            (1, 10, 0.017876213095072, 0.404150026795239), (50, 1_000, 0.038130262392748, 0.065313820244251),
            (10, 10, 0.722467200137111, 1),
        ] {
            let found = interval(hits: hits, of: count)
            #expect(abs(found.lowerBound - low) < 1e-9 && abs(found.upperBound - high) < 1e-9, "\(found)")
        }
        #expect(interval(hits: 0, of: 0) == 0...1)
        // Whatever rounding does: the rate lies within, and is the end where nobody or everybody has a hit.
        for count in 1...200 {
            for hits in [0, 1, count / 2, count - 1, count] {
                let (found, rate) = (interval(hits: hits, of: count), Double(hits) / Double(count))
                #expect(found.contains(rate) && found.lowerBound >= 0 && found.upperBound <= 1, "\(hits) of \(count)")
            }
            #expect(interval(hits: 0, of: count).lowerBound == 0)
            #expect(interval(hits: count, of: count).upperBound == 1)
        }
    }

    @Test func ranksWithoutWhatIsExcluded() {
        let scores: ArraySlice<Float> = [0.1, 0.9, 0.5, 0.7]
        #expect(Ranking.rank(of: 2, scores: scores) == 3)
        #expect(Ranking.rank(of: 2, scores: scores, excluding: [1]) == 2)
        #expect(Ranking.rank(of: 2, scores: scores, excluding: [2, 3, 0]) == 2)
        #expect(Ranking.rank(of: 2, scores: [9, 9, 0.5, 0.7, 0.6][1...], excluding: []) == 2)
    }

    @Test func equalScoresAndNoNumbersGiveNoCredit() {
        #expect(Ranking.rank(of: 0, scores: [1, 1, 1, 1]) == 4)
        #expect(Ranking.rank(of: 0, scores: [.nan, 1, 0]) == 3)
        #expect(Ranking.rank(of: 1, scores: [.nan, 1, 0]) == 2)
    }

    @Test func theBestComeFirst() {
        let scores: [Float] = [1, 2, 0, 3]
        #expect(Ranking.top(3, scores: scores) == [3, 1, 0])
        #expect(Ranking.top(3, scores: scores, excluding: [1]) == [3, 0, 2])
    }
}
