import ModelFiles
public import NeuralNetwork
import Tensors

extension LanguageModel {
    /// The loss of one text: the sums over its answers, each an exact softmax over what the catalogue has, and over the tokens
    /// of what its user wrote.
    public struct TextLoss {
        /// The titles' sum, a scalar; nil when none is to be learnt.
        public let titles: Variable?
        /// The favourite category's, a scalar; nil when it is not to be learnt.
        public let category: Variable?
        /// The review's, a scalar; nil when it is not to be learnt.
        public let review: Variable?
    }

    /// The loss of one text, in one causal pass over it.
    ///
    /// Logits are computed at the text's positions alone, and for titles and categories of the tokens alone between which the
    /// trees have a choice.
    ///
    /// - Parameters:
    ///   - graph: records the operations.
    ///   - text: at most as long as the model's context.
    ///   - answers: the trees that the text was made with.
    /// - Returns: sums over answers and over a review's tokens, in nats.
    public func loss(_ graph: Graph, _ text: TrainingText, answers: KnownAnswers) -> TextLoss {
        guard !text.isEmpty else { return TextLoss(titles: nil, category: nil, review: nil) }
        let hidden = hidden(graph, tokens: text.tokens, count: 1)
        let states = graph.reshaped(hidden, [text.tokens.count, configuration.width])
        return TextLoss(
            titles: sum(graph, states, text.titles, answers.titles),
            category: sum(graph, states, text.category, answers.categories),
            review: sum(graph, states, text.review)
        )
    }

    private func sum(_ graph: Graph, _ states: Variable, _ written: TrainingText.Written) -> Variable? {
        if written.positions.isEmpty { return nil }
        return graph.crossEntropy(
            graph.gatherRows(states, written.positions),
            weight: graph.parameter(head),
            bias: nil,
            targets: written.targets,
            rowWeights: nil
        )
    }

    private func sum(
        _ graph: Graph,
        _ states: Variable,
        _ choices: TrainingText.Choices,
        _ tree: PrefixTree
    ) -> Variable? {
        if choices.positions.isEmpty { return nil }
        var columns: [Int32] = []
        var offsets: [Int32] = [0]
        for node in choices.nodes {
            columns.append(contentsOf: tree.tokens(after: node).lazy.map(tree.branchColumn))
            offsets.append(Int32(columns.count))
        }
        let table = graph.gatherRows(graph.parameter(head), tree.branchTokens)
        let logits = graph.linear(graph.gatherRows(states, choices.positions), weight: table, bias: nil)
        return graph.crossEntropy(
            logits,
            targets: choices.targets.map(tree.branchColumn),
            allowed: CandidateSets(columns: columns, offsets: offsets),
            rowWeights: nil
        )
    }
}
