import Foundation
@testable import LanguageEngine
import Testing

@Suite struct SamplerTests {
    /// The tokens that a sampler gives for the same logits again and again.
    private func draw(
        _ logits: [Float],
        count: Int,
        allowed: [Int32]? = nil,
        prompt: [Int32] = [],
        _ change: (inout SamplingParameters) -> Void
    ) -> [Int32?] {
        var parameters = SamplingParameters()
        change(&parameters)
        var sampler = Sampler(parameters, prompt: prompt)
        return (0..<count).map { _ in
            var row = logits
            return row.withUnsafeMutableBufferPointer { sampler.next($0, allowed: allowed) }
        }
    }

    /// How often each token comes in many draws, as a share.
    private func shares(_ logits: [Float], _ change: (inout SamplingParameters) -> Void) -> [Double] {
        let drawn = draw(logits, count: 20_000, change)
        return logits.indices.map { token in
            Double(drawn.count { $0 == Int32(token) }) / 20_000
        }
    }

    private func isNear(_ found: [Double], _ expected: [Double]) -> Bool {
        zip(found, expected).allSatisfy { abs($0 - $1) < 0.015 && ($1 > 0) == ($0 > 0) }
    }

    // Probabilities 0.5, 0.25, 0.15, 0.1 in another order.
    private let logits: [Float] = [0.25, 0.1, 0.5, 0.15].map { log($0) + 3 }

    @Test func withoutTemperatureTheFirstOfTheGreatestIsTaken() {
        #expect(draw([1, 3, 2, 3], count: 2) { _ in } == [1, 1])
        #expect(draw([.nan, -3, .nan], count: 1) { _ in } == [1])
        #expect(draw([1, 3, 2, 3], count: 1, allowed: [0, 2]) { _ in } == [2])
    }

    @Test func withoutNumbersNothingIsTaken() {
        for temperature in [Float(0), 1] {
            #expect(draw([.nan, .nan], count: 1) { $0.temperature = temperature } == [nil])
            #expect(draw([-.infinity, -.infinity], count: 1) { $0.temperature = temperature } == [nil])
            #expect(draw([], count: 1) { $0.temperature = temperature } == [nil])
        }
        #expect(draw([.nan, 1], count: 1) { ($0.temperature, $0.topP) = (1, 0.5) } == [1])
        #expect(draw([1, .infinity], count: 1) { ($0.temperature, $0.topK) = (1, 1) } == [nil])
    }

    @Test func tokensComeByTheirProbability() {
        #expect(isNear(shares(logits) { $0.temperature = 1 }, [0.25, 0.1, 0.5, 0.15]))
        // Squares of the probabilities, 0.345 together.
        let squared = [0.0625, 0.01, 0.25, 0.0225].map { $0 / 0.345 }
        #expect(isNear(shares(logits) { $0.temperature = 0.5 }, squared))
        #expect(isNear(shares(logits) { ($0.temperature, $0.topK) = (1, 2) }, [1.0 / 3, 0, 2.0 / 3, 0]))
    }

    @Test func topPKeepsTheFewestThatReachIt() {
        #expect(isNear(shares(logits) { ($0.temperature, $0.topP) = (1, 0.5) }, [0, 0, 1, 0]))
        #expect(isNear(shares(logits) { ($0.temperature, $0.topP) = (1, 0.51) }, [1.0 / 3, 0, 2.0 / 3, 0]))
        let three = shares(logits) { ($0.temperature, $0.topP) = (1, 0.8) }
        #expect(isNear(three, [0.25 / 0.9, 0, 0.5 / 0.9, 0.15 / 0.9]))
        // Among the two that topK keeps, the first has two thirds.
        #expect(isNear(shares(logits) { ($0.temperature, $0.topK, $0.topP) = (1, 2, 0.66) }, [0, 0, 1, 0]))
        let both = shares(logits) { ($0.temperature, $0.topK, $0.topP) = (1, 2, 0.67) }
        #expect(isNear(both, [1.0 / 3, 0, 2.0 / 3, 0]))
    }

    @Test func manyLikelyTokensAreToldApart() {
        // Few values, so that equal ones are cut in their order.
        let flat = (0..<5_000).map { Float($0 % 11) * 0.3 }
        let order = flat.indices.sorted { (flat[$0], $1) > (flat[$1], $0) }
        let drawn = Set(draw(flat, count: 30_000) { ($0.temperature, $0.topK) = (1, 2_000) }.compactMap { $0 })
        #expect(drawn.isSubset(of: order.prefix(2_000).map(Int32.init)) && drawn.count > 1_950)
        // 0.5 of what those 2,000 have.
        let weights = order.prefix(2_000).map { exp(Double(flat[$0])) }
        var (sum, kept) = (0.0, 0)
        while sum < 0.5 * weights.reduce(0, +) {
            sum += weights[kept]
            kept += 1
        }
        let both = draw(flat, count: 30_000) { ($0.temperature, $0.topK, $0.topP) = (1, 2_000, 0.5) }
        let found = Set(both.compactMap { $0 })
        #expect(found.isSubset(of: order.prefix(kept + 1).map(Int32.init)) && found.count > kept - 20)
    }

    @Test func topPKeepsNoMoreThanItNeedsAndNoLess() {
        // A flat distribution of 1,000: 0.9 of it are 900.
        let flat = (0..<1_000).map { Float($0 % 7) * 1e-4 }
        let drawn = draw(flat, count: 5_000) { ($0.temperature, $0.topP) = (1, 0.9) }
        let order = flat.indices.sorted { (flat[$0], $1) > (flat[$1], $0) }
        let kept = Set(order.prefix(900).map(Int32.init))
        #expect(Set(drawn.compactMap { $0 }).subtracting(kept).count <= 1)
        #expect(Set(drawn.compactMap { $0 }).count > 850)
    }

    @Test func minPRemovesWhatIsTooUnlikely() {
        #expect(isNear(shares(logits) { ($0.temperature, $0.minP) = (1, 0.31) }, [1.0 / 3, 0, 2.0 / 3, 0]))
        #expect(isNear(shares(logits) { ($0.temperature, $0.minP) = (1, 1) }, [0, 0, 1, 0]))
    }

    @Test func penaltiesAreTheFields() {
        var parameters = SamplingParameters()
        parameters.repetitionPenalty = 2
        parameters.presencePenalty = 0.5
        parameters.frequencyPenalty = 0.25
        parameters.logitBias = [4: 1.5, 0: -.infinity]
        var sampler = Sampler(parameters, prompt: [1, 3, 3])
        sampler.note(2)
        sampler.note(2)
        sampler.note(3)
        var row: [Float] = [9, 4, 6, -2, 1, 0.5]
        row.withUnsafeMutableBufferPointer { sampler.adjust($0) }
        // 0: forbidden. 1: in the prompt alone, 4 / 2. 2: twice in the answer, 6 / 2 - 0.5 - 2 * 0.25. 3: in both,
        // -2 * 2 - 0.5 - 0.25. 4: biased. 5: as it is.
        #expect(row == [-.infinity, 2, 2, -4.75, 2.5, 0.5])
    }

    @Test func chosenTokensCountForTheNext() {
        // Each choice makes its token 3 less likely.
        let drawn = draw([5, 4, 1], count: 4) { $0.frequencyPenalty = 3 }
        #expect(drawn == [0, 1, 0, 1] || drawn == [0, 1, 0, 2])
        #expect(draw([5, 4, 1], count: 3) { $0.frequencyPenalty = 3 } == [0, 1, 0])
    }

    @Test func equalSeedsGiveEqualTokens() {
        let wide = (0..<300).map { Float($0 % 13) / 4 }
        for topP in [Float(1), 0.9] {
            func drawn(seed: UInt64) -> [Int32?] {
                draw(wide, count: 50) { ($0.temperature, $0.topP, $0.seed) = (1.2, topP, seed) }
            }
            #expect(drawn(seed: 1) == drawn(seed: 1))
            #expect(drawn(seed: 1) != drawn(seed: 2))
        }
    }
}
