import CLanguageKernels
import Foundation

/// Logarithms of probabilities, from a row of logits.
enum Logits {
    /// Natural logarithms of the probabilities of tokens among themselves.
    ///
    /// - Parameters:
    ///   - allowed: the tokens.
    ///   - row: logits of all tokens.
    ///   - prior: what is known about the tokens besides.
    /// - Returns: logarithms in the tokens' order; not numbers when the greatest of their logits is none, or infinite.
    static func among(
        _ allowed: [(token: Int32, node: Int32)],
        _ row: UnsafeMutableBufferPointer<Float>,
        prior: BranchPrior? = nil
    ) -> [Float] {
        // Whatever its logit is, the only one allowed is certain.
        if allowed.count == 1 { return [0] }
        let values = allowed.map { Double(row[Int($0.token)]) }
        let greatest = values.max() ?? 0
        let logSum = greatest + log(values.reduce(0) { $0 + exp($1 - greatest) })
        let logs = values.map { $0 - logSum }
        return (prior?.fused(logs) ?? logs).map { Float($0) }
    }

    /// The tokens with the greatest logits and the logarithms of their probabilities among all tokens.
    static func likeliest(
        _ count: Int,
        _ row: UnsafeMutableBufferPointer<Float>,
        logSum: Float
    ) -> [GeneratedToken.Choice] {
        var values = [Float](repeating: 0, count: count)
        var tokens = [Int32](repeating: 0, count: count)
        let found = Int(lk_top_k(row.baseAddress, Int64(row.count), Int64(count), &values, &tokens))
        return (0..<found).map { GeneratedToken.Choice(token: tokens[$0], logProbability: values[$0] - logSum) }
    }
}

/// What was chosen for a sequence from its logits.
struct NextToken {
    /// The token; nil when the logits are not numbers.
    var token: Int32?
    var logProbability: Float?
    /// The natural logarithm of its probability among the tokens that an open passage allows; 0 elsewhere.
    var passageLog: Float = 0
    var likeliest: [GeneratedToken.Choice] = []
}
