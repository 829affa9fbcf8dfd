import CLanguageKernels
import Foundation

/// A few tokens to choose from, with their logits; what is not a number counts as minus infinity.
struct Candidates {
    /// The tokens.
    private(set) var tokens: [Int32]
    /// The logit of each.
    private(set) var logits: [Float]

    /// Takes these tokens of a row of logits, in the given order.
    init(_ tokens: [Int32], of row: UnsafeMutableBufferPointer<Float>) {
        self.tokens = tokens
        logits = tokens.map { row[Int($0)].isNaN ? -.infinity : row[Int($0)] }
    }

    /// Takes the `count` greatest of a row, greatest first; of equal ones the lowest tokens, and those first.
    init(greatest count: Int, of row: UnsafeMutableBufferPointer<Float>) {
        logits = [Float](repeating: 0, count: count)
        tokens = [Int32](repeating: 0, count: count)
        let found = Int(lk_top_k(row.baseAddress, Int64(row.count), Int64(count), &logits, &tokens))
        keepFirst(found)
    }

    /// Keeps the `count` greatest, greatest first; of equal ones those that came first, in their order.
    mutating func keepGreatest(_ count: Int) {
        let order = logits.indices.sorted { (logits[$0], $1) > (logits[$1], $0) }.prefix(count)
        tokens = order.map { tokens[$0] }
        logits = order.map { logits[$0] }
    }

    /// Keeps the first `count`.
    mutating func keepFirst(_ count: Int) {
        tokens.removeLast(max(0, tokens.count - count))
        logits.removeLast(max(0, logits.count - count))
    }

    /// The first token with the greatest logit; nil without one above minus infinity.
    var first: Int32? {
        var best: Int?
        for index in logits.indices where logits[index] > best.map({ logits[$0] }) ?? -.infinity { best = index }
        return best.map { tokens[$0] }
    }

    /// Probabilities up to a common factor: 1 for the likeliest.
    ///
    /// Not numbers when that one's logit is infinite.
    func weights(temperature: Float) -> [Double] {
        let greatest = logits.max() ?? 0
        guard greatest > -.infinity else { return logits.map { _ in 0 } }
        return logits.map { exp((Double($0) - Double(greatest)) / Double(temperature)) }
    }
}
