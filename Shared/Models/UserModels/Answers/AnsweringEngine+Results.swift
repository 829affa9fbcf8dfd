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
            guard let tree = state.tree else {
                let finish = end.reason == .stop ? Answer.Finish.stop : .length
                return [.finished(state.id, .success(answer(state.text, end, end.generatedTokens, finish)))]
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
        guard !ranked.isEmpty else { return [.finished(state.id, .failure(.nothingLeft))] }
        var generator = SeededRandom(seed: request.seed)
        let pick = Self.draw(ranked.map(\.score), temperature: request.temperature, using: &generator)
        var decoder = StreamingDecoder(format.tokenizer)
        let tokens = tree.tree.sequence(ofLeaf: ranked[pick].leaf).dropLast()
        let pieces = (tokens.map { decoder.append($0) } + [decoder.finish()]).filter { !$0.isEmpty }
        var answer = answer(pieces.joined(), end, tokens.count, nil)
        answer.items = ranking(ranked, picked: ranked[pick], request, state.excluded)
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

    /// The items of the ranked titles; none when the answer is a category.
    private func ranking(
        _ ranked: [RankedLeaf],
        picked: RankedLeaf,
        _ request: AnswerRequest,
        _ excluded: Set<Int>
    ) -> [Answer.Item] {
        if request.form == .category { return [] }
        let tree = request.form == .title ? answers.titles : answers.all
        func items(_ leaf: RankedLeaf) -> [Answer.Item] {
            tree.values(ofLeaf: leaf.leaf).filter { $0 < catalogue.count && !excluded.contains($0) }.map { index in
                Answer.Item(id: catalogue[index].id, title: catalogue[index].title, score: leaf.score)
            }
        }
        if items(picked).isEmpty { return [] }
        return Array(ranked.flatMap(items).prefix(request.itemCount))
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
