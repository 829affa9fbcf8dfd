import Foundation
import LanguageEngine
import Messages
import NeuralNetwork
import Tokenization

/// What the end of a sequence means for its answer.
extension AnsweringEngine {
    /// The last events of an answer.
    func finish(_ state: AnswerState, _ end: SequenceResult) -> [AnswerEvent] {
        switch end.reason {
        case .stop, .length:
            guard !state.request.form.isText, let tree = state.tree else {
                let finish = end.reason == .stop ? Answer.Finish.stop : .length
                var answer = answer(state.text, end, end.generatedTokens, finish)
                answer.items = state.items
                return [.finished(state.id, .success(answer))]
            }
            return found(state, tree, end)
        case .deadline: return [.finished(state.id, .failure(failure(state, end)))]
        case .cancelled: return [.finished(state.id, .failure(.cancelled))]
        case .failed(let reason): return [.finished(state.id, .failure(.failed(reason)))]
        }
    }

    /// The answer that a search found, in pieces, and its ranking.
    private func found(_ state: AnswerState, _ tree: RestrictedTree, _ end: SequenceResult) -> [AnswerEvent] {
        let (request, ranked) = (state.request, end.ranking)
        if let given = state.given { return [.finished(state.id, .success(read(given, state, tree, end)))] }
        guard !ranked.isEmpty else { return [.finished(state.id, .failure(.nothingLeft))] }
        var generator = SeededRandom(seed: request.sampling.seed)
        let scores = ranked.map { leaf in
            guard tree.prior != nil, request.sampling.temperature <= 0 else { return leaf.score }
            // The likeliest item is given, which need not be of the likeliest title where several share one.
            return items(leaf, state).map(\.score).max() ?? leaf.score
        }
        let pick = Self.draw(scores, temperature: request.sampling.temperature, using: &generator)
        var decoder = StreamingDecoder(format.tokenizer)
        let tokens = tree.tree.sequence(ofLeaf: ranked[pick].leaf).dropLast()
        let pieces = (tokens.map { decoder.append($0) } + [decoder.finish()]).filter { !$0.isEmpty }
        var answer = answer(pieces.joined(), end, tokens.count, nil)
        answer.items = ranking(ranked, picked: ranked[pick], state)
        return pieces.map { .piece(state.id, $0) } + [.finished(state.id, .success(answer))]
    }

    private func answer(
        _ text: String,
        _ end: SequenceResult,
        _ tokenCount: Int,
        _ finish: Answer.Finish?
    ) -> GeneratedAnswer {
        GeneratedAnswer(
            text: text,
            promptTokens: end.promptTokens,
            answerTokens: tokenCount,
            finish: finish,
            firstToken: min(end.firstTokenTime ?? end.totalTime, end.totalTime),
            total: end.totalTime
        )
    }

    /// The answer of a title that was given.
    private func read(
        _ given: [Int32],
        _ state: AnswerState,
        _ tree: RestrictedTree,
        _ end: SequenceResult
    ) -> GeneratedAnswer {
        var answer = answer(state.text, end, given.count - 1, nil)
        answer.branches = end.branches.map { AnswerBranch($0, in: tree) }
        return answer
    }

    /// The items of the ranked titles; none when the answer is a category.
    private func ranking(_ ranked: [RankedLeaf], picked: RankedLeaf, _ state: AnswerState) -> [Answer.Item] {
        if items(picked, state).isEmpty { return [] }
        var found = ranked.flatMap { items($0, state) }
        // Items of one title have scores of their own then.
        if state.tree?.prior != nil {
            let order = found.indices.sorted { (found[$0].score, $1) > (found[$1].score, $0) }
            found = order.map { found[$0] }
        }
        return Array(found.prefix(state.request.itemCount))
    }

    /// The items of a ranked title; none for a category.
    func items(_ leaf: RankedLeaf, _ state: AnswerState) -> [Answer.Item] {
        guard state.request.form != .category, let tree = state.tree else { return [] }
        func item(_ index: Int, _ score: Float) -> Answer.Item {
            Answer.Item(id: catalogue[index].id, title: catalogue[index].title, score: score)
        }
        if let prior = tree.prior {
            return prior.items(ofLeaf: leaf.leaf).map { item($0.item, leaf.score + $0.log) }
        }
        return tree.tree.values(ofLeaf: leaf.leaf)
            .filter { $0 < catalogue.count && !state.excluded.contains($0) }
            .map { item($0, leaf.score) }
    }

    /// Samples an index by its log-probability; temperature 0 takes the first maximum.
    static func draw(
        _ logs: [Float],
        temperature: Float,
        using generator: inout some RandomNumberGenerator
    ) -> Int {
        let greatest = logs.max() ?? 0
        if temperature <= 0 { return logs.firstIndex(of: greatest) ?? 0 }
        let weights = logs.map { exp(($0 - greatest) / temperature) }
        var rest = Float.random(in: 0..<1, using: &generator) * weights.reduce(0, +)
        for (index, weight) in weights.enumerated() {
            rest -= weight
            if rest < 0 { return index }
        }
        return weights.lastIndex { $0 > 0 } ?? 0
    }
}
