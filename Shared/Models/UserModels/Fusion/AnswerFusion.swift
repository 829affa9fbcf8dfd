import Foundation
import LanguageEngine
import Messages
public import ModelFiles

/// Joins the language model's opinion of titles with the encoder's; made once for an answering engine.
public struct AnswerFusion: Sendable {
    private let scorer: ItemScorer
    private let weights: FusionWeights
    private let titles: LeafItems
    private let all: LeafItems

    /// Computes what is the same for all answers.
    ///
    /// - Parameters:
    ///   - weights: how much each of them counts.
    ///   - encoder: scores items.
    ///   - answers: titles and categories of the encoder's items.
    /// - Throws: `ModelConfigurationError` naming a weight that is out of range.
    public init(
        _ weights: FusionWeights,
        encoder: AutoregressiveEncoder,
        answers: KnownAnswers
    ) throws(ModelConfigurationError) {
        try weights.validate()
        self.weights = weights
        scorer = ItemScorer(encoder)
        titles = LeafItems(tree: answers.titles, itemCount: encoder.configuration.itemCount)
        all = LeafItems(tree: answers.all, itemCount: encoder.configuration.itemCount)
    }

    /// The encoder's prior of an answer; nil when it knows nothing of the user, or has no say.
    ///
    /// - Throws: `AnswerError` naming a vector of another width, or one that is not of numbers.
    func prior(for state: AnswerState, _ context: UserContext?) throws(AnswerError) -> EncoderPrior? {
        guard let pooled = context?.pooled, !pooled.allSatisfy({ $0 == 0 }) else { return nil }
        guard pooled.count == scorer.width else {
            throw .pooledSize(found: pooled.count, columns: scorer.width)
        }
        guard pooled.allSatisfy(\.isFinite) else {
            let expected = "numbers: encode the user again"
            throw .invalid(field: "pooled", value: "not of numbers", expected: expected)
        }
        guard let leaves = leaves(for: state) else { return nil }
        if weights.isLanguageModelAlone, state.request.givenItem == nil { return nil }
        return EncoderPrior(leaves, scorer: scorer, pooled: pooled, excluding: state.excluded, weights: weights)
    }

    private func leaves(for state: AnswerState) -> LeafItems? {
        switch state.request.form {
        case .title, .textWithTitles: titles
        case .known: all
        default: nil
        }
    }
}

extension AnswerBranch {
    /// Joins a choice that the engine read with what the encoder says about it.
    ///
    /// - Parameters:
    ///   - read: the choice.
    ///   - tree: the tree of titles it was made in, with the encoder's prior.
    init(_ read: ReadBranch, in tree: RestrictedTree) {
        let logs = tree.prior(of: read.node)?.logs.map { $0 ?? 0 } ?? []
        let greatest = logs.max() ?? 0
        let sum = greatest + log(logs.reduce(0) { $0 + exp($1 - greatest) })
        self.init(
            depth: tree.tree.branchDepth(of: read.node),
            taken: read.taken,
            languageModel: read.logs,
            encoder: logs.map { Float($0 - sum) }
        )
    }
}
