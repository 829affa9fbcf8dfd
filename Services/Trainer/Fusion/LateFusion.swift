import Catalogues
import Messages
import UserModels

/// Late fusion: language model and encoder rank whole titles, and their scores are added.
///
/// Only titles that the language model finds likeliest are ranked: of others it gives no score.
enum LateFusion {
    /// The choice of an item among those that the language model ranks.
    ///
    /// - Parameters:
    ///   - answer: the language model's ranking.
    ///   - catalogue: the items.
    ///   - scores: the encoder's logits of all items.
    ///   - target: the item that is chosen.
    /// - Returns: the choice; nil when the target is not among the ranked ones.
    static func candidates(
        _ answer: GeneratedAnswer,
        _ catalogue: Catalogue,
        scores: [Float],
        target: Int
    ) -> AnswerBranch? {
        let ranked = answer.items.compactMap { item in
            catalogue.index(of: item.id).map { (index: $0, score: item.score) }
        }
        guard let taken = ranked.firstIndex(where: { $0.index == target }) else { return nil }
        return AnswerBranch(
            depth: 0,
            taken: taken,
            languageModel: ranked.map(\.score),
            encoder: ranked.map { scores[$0.index] }
        )
    }

    /// The rank of the chosen item, from 1, when the encoder's scores count with a weight.
    static func rank(_ choice: AnswerBranch, weight: Double) -> Int {
        let scores = zip(choice.languageModel, choice.encoder).map { Float(Double($0) + weight * Double($1)) }
        return Ranking.rank(of: choice.taken, scores: scores[...])
    }
}
