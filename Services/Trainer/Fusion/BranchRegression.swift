import Foundation
import UserModels

/// Learns the exponents of language model and encoder from choices whose outcome is known, by maximum likelihood.
///
/// The likelihood of an outcome is `softmax(a * log p_languageModel + b * log p_encoder)`: a logistic regression with two
/// weights, whose loss is convex. Newton's method, held to the range of the weights, finds its minimum in a few steps.
struct BranchRegression {
    typealias Pair = FusionWeights.Pair

    let branches: [AnswerBranch]

    /// Logarithms below this count as this: whatever is impossible for one may still be possible for the other.
    private static let least = -1e6
    private static let (stepLimit, halvingLimit) = (100, 40)

    /// Learns from choices.
    init(_ branches: [AnswerBranch]) { self.branches = branches }

    /// The natural logarithm of the outcomes' probability under some weights; 0 without choices.
    func logLikelihood(_ pair: Pair) -> Double { -loss(pair).value }

    /// The likeliest weights.
    ///
    /// - Parameters:
    ///   - start: where to begin, and what the weights are pulled to.
    ///   - pull: the strength of the pull, in nats for a distance of 1 twice over. It keeps weights finite where choices
    ///     are few and all of one kind.
    ///   - keepsLanguageModel: whether the language model's weight stays what it is.
    /// - Returns: weights within `FusionWeights.range`; `start` without choices.
    func fit(from start: Pair, pull: Double, keepsLanguageModel: Bool = false) -> Pair {
        precondition(pull > 0, "without a pull there may be no minimum")
        var pair = start
        var current = pulled(loss(pair), pair, start, pull)
        for _ in 0..<Self.stepLimit {
            let step = Self.step(current, pair, keepsLanguageModel: keepsLanguageModel)
            var length = 1.0
            var next: (pair: Pair, loss: Loss)?
            for _ in 0..<Self.halvingLimit {
                let tried = Pair(
                    languageModel: Self.held(pair.languageModel + length * step.languageModel),
                    encoder: Self.held(pair.encoder + length * step.encoder)
                )
                let loss = pulled(loss(tried), tried, start, pull)
                if loss.value < current.value {
                    next = (tried, loss)
                    break
                }
                length /= 2
            }
            guard let next else { break }
            let progress = current.value - next.loss.value
            (pair, current) = next
            if progress < 1e-12 * (1 + abs(current.value)) { break }
        }
        return pair
    }

    /// A loss with its derivatives: first by the language model's weight, then by the encoder's.
    private struct Loss {
        var value = 0.0
        var (first, second) = (0.0, 0.0)
        var (firstFirst, firstSecond, secondSecond) = (0.0, 0.0, 0.0)
    }

    private func loss(_ pair: Pair) -> Loss {
        var loss = Loss()
        var values: [Double] = []
        for branch in branches {
            values.removeAll(keepingCapacity: true)
            for (model, encoder) in zip(branch.languageModel, branch.encoder) {
                values.append(pair.languageModel * Self.number(model) + pair.encoder * Self.number(encoder))
            }
            let greatest = values.max() ?? 0
            let sum = values.reduce(0) { $0 + exp($1 - greatest) }
            loss.value -= values[branch.taken] - greatest - log(sum)
            var (model, encoder) = (0.0, 0.0)
            var (modelSquare, product, encoderSquare) = (0.0, 0.0, 0.0)
            for (child, value) in values.enumerated() {
                let p = exp(value - greatest) / sum
                let (x, y) = (Self.number(branch.languageModel[child]), Self.number(branch.encoder[child]))
                model += p * x
                encoder += p * y
                modelSquare += p * x * x
                product += p * x * y
                encoderSquare += p * y * y
            }
            loss.first += model - Self.number(branch.languageModel[branch.taken])
            loss.second += encoder - Self.number(branch.encoder[branch.taken])
            loss.firstFirst += modelSquare - model * model
            loss.firstSecond += product - model * encoder
            loss.secondSecond += encoderSquare - encoder * encoder
        }
        return loss
    }

    private func pulled(_ loss: Loss, _ pair: Pair, _ start: Pair, _ pull: Double) -> Loss {
        let (a, b) = (pair.languageModel - start.languageModel, pair.encoder - start.encoder)
        var loss = loss
        loss.value += pull / 2 * (a * a + b * b)
        loss.first += pull * a
        loss.second += pull * b
        loss.firstFirst += pull
        loss.secondSecond += pull
        return loss
    }

    /// Newton's step in the weights that are free: not kept, and not pressed against the end of their range.
    private static func step(_ loss: Loss, _ pair: Pair, keepsLanguageModel: Bool) -> Pair {
        let isFirstFree = !keepsLanguageModel && !isPressed(pair.languageModel, loss.first)
        let isSecondFree = !isPressed(pair.encoder, loss.second)
        switch (isFirstFree, isSecondFree) {
        case (true, true):
            let determinant = loss.firstFirst * loss.secondSecond - loss.firstSecond * loss.firstSecond
            // Of two weights that do the same, the scaled gradient finds some pair.
            guard determinant > 1e-12 * loss.firstFirst * loss.secondSecond else {
                return Pair(languageModel: -loss.first / loss.firstFirst, encoder: -loss.second / loss.secondSecond)
            }
            return Pair(
                languageModel: -(loss.secondSecond * loss.first - loss.firstSecond * loss.second) / determinant,
                encoder: -(loss.firstFirst * loss.second - loss.firstSecond * loss.first) / determinant
            )
        case (true, false): return Pair(languageModel: -loss.first / loss.firstFirst, encoder: 0)
        case (false, true): return Pair(languageModel: 0, encoder: -loss.second / loss.secondSecond)
        case (false, false): return Pair(languageModel: 0, encoder: 0)
        }
    }

    private static func isPressed(_ weight: Double, _ slope: Double) -> Bool {
        weight <= FusionWeights.range.lowerBound && slope > 0 || weight >= FusionWeights.range.upperBound && slope < 0
    }

    private static func held(_ weight: Double) -> Double {
        min(max(weight, FusionWeights.range.lowerBound), FusionWeights.range.upperBound)
    }

    private static func number(_ log: Float) -> Double { max(Double(log), least) }
}
