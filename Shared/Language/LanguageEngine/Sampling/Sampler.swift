import CLanguageKernels
import RandomNumbers

/// Chooses one sequence's tokens; see `SamplingParameters` for order and meaning.
///
/// What it gives depends on the sequence's own logits, parameters and seed alone.
struct Sampler {
    private let parameters: SamplingParameters
    private var generator: SeededRandom
    private var promptTokens: Set<Int32> = []
    private var answerCounts: [Int32: Int] = [:]

    /// Starts an answer.
    init(_ parameters: SamplingParameters, prompt: [Int32]) {
        self.parameters = parameters
        generator = SeededRandom(seed: parameters.seed)
        if parameters.repetitionPenalty != 1 { promptTokens = Set(prompt) }
    }

    /// Chooses the next token and notes it.
    ///
    /// - Parameters:
    ///   - row: logits of all tokens; penalties and bias are applied in place.
    ///   - allowed: the tokens to choose from, ascending; nil allows all.
    /// - Returns: the token; nil when no logit is a number above minus infinity.
    mutating func next(_ row: UnsafeMutableBufferPointer<Float>, allowed: [Int32]? = nil) -> Int32? {
        if !parameters.leavesLogits { adjust(row) }
        let token = choose(row, allowed)
        if let token, !parameters.leavesLogits { answerCounts[token, default: 0] += 1 }
        return token
    }

    /// Notes a token that was not chosen here.
    mutating func note(_ token: Int32) { if !parameters.leavesLogits { answerCounts[token, default: 0] += 1 } }

    /// Applies penalties and bias.
    func adjust(_ row: UnsafeMutableBufferPointer<Float>) {
        let parameters = parameters
        if parameters.repetitionPenalty != 1 {
            let penalty = parameters.repetitionPenalty
            func punish(_ token: Int32) {
                guard row.indices.contains(Int(token)) else { return }
                let logit = row[Int(token)]
                row[Int(token)] = logit > 0 ? logit / penalty : logit * penalty
            }
            for token in promptTokens { punish(token) }
            for token in answerCounts.keys where !promptTokens.contains(token) { punish(token) }
        }
        if parameters.presencePenalty != 0 || parameters.frequencyPenalty != 0 {
            for (token, count) in answerCounts {
                row[Int(token)] -= Float(count) * parameters.frequencyPenalty + parameters.presencePenalty
            }
        }
        for (token, bias) in parameters.logitBias { row[Int(token)] += bias }
    }

    private mutating func choose(_ row: UnsafeMutableBufferPointer<Float>, _ allowed: [Int32]?) -> Int32? {
        let (temperature, topK) = (parameters.temperature, parameters.topK)
        var candidates: Candidates
        if let allowed {
            candidates = Candidates(allowed, of: row)
            if temperature == 0 { return candidates.first }
            if topK > 0 || parameters.topP < 1 { candidates.keepGreatest(topK > 0 ? topK : allowed.count) }
        } else if temperature == 0 {
            return Self.greatest(row)
        } else if topK > 0, topK <= Self.fewTokens {
            candidates = Candidates(greatest: topK, of: row)
        } else {
            return chooseAmongAll(row)
        }
        let weights = candidates.weights(temperature: temperature)
        let count = parameters.topP < 1 ? nucleus(weights, of: weights.reduce(0, +)) ?? weights.count : weights.count
        return draw(candidates.tokens[..<count], weights[..<count])
    }

    /// Chooses among all tokens; the row becomes their probabilities.
    private mutating func chooseAmongAll(_ row: UnsafeMutableBufferPointer<Float>) -> Int32? {
        guard let best = Self.greatest(row), row[Int(best)] < .infinity else { return nil }
        let (greatest, temperature) = (row[Int(best)], parameters.temperature)
        for index in row.indices {
            let logit = (row[index] - greatest) / temperature
            row[index] = logit.isNaN ? -.infinity : logit
        }
        let count = Int64(row.count)
        lk_probabilities(row.baseAddress, row.baseAddress, lk_log_sum_exp(row.baseAddress, count), count)
        let likeliest = LikeliestTokens(row)
        if parameters.topK > 0 {
            let topK = parameters.topK
            likeliest.keep { count, _ in count >= topK }
        }
        if parameters.topP < 1 {
            let share = Double(parameters.topP) * row.reduce(0) { $0 + Double($1) }
            likeliest.keep { _, sum in sum >= share }
        }
        return draw(0..<Int32(row.count), row.lazy.map(Double.init))
    }

    /// So many candidates are sorted; more are only told apart.
    private static let fewTokens = 1_024

    /// How many of the weights, greatest first, reach `topP` of the sum of all; nil if they do not.
    private func nucleus(_ weights: [Double], of sum: Double) -> Int? {
        var reached = 0.0
        for (index, weight) in weights.enumerated() {
            reached += weight
            if reached >= Double(parameters.topP) * sum { return index + 1 }
        }
        return nil
    }

    /// Draws by weight, without those below `minP`.
    private mutating func draw(_ tokens: some Sequence<Int32>, _ weights: some Sequence<Double>) -> Int32? {
        // One draw for each token, whatever is kept.
        let uniform = generator.uniformDouble()
        let least = Double(parameters.minP) * (weights.max() ?? 0)
        let sum = weights.reduce(0) { $0 + ($1 >= least ? $1 : 0) }
        guard sum > 0, sum.isFinite else { return nil }
        var rest = uniform * sum
        var last: Int32?
        for (token, weight) in zip(tokens, weights) where weight >= least && weight > 0 {
            last = token
            rest -= weight
            if rest < 0 { break }
        }
        return last
    }

    /// The token with the greatest logit, of equal ones the lowest; nil without a number above minus infinity.
    private static func greatest(_ row: UnsafeMutableBufferPointer<Float>) -> Int32? {
        guard !row.isEmpty else { return nil }
        let token = Int(lk_argmax(row.baseAddress, Int64(row.count)))
        return row[token] > -.infinity ? Int32(token) : nil
    }
}
