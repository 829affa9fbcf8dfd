import Catalogues
import ModelFiles
import NeuralNetwork
import UserModels

/// Trains the small language model on the catalogue's content: titles, their categories, and how questions are phrased.
struct LanguageModelTask: TrainingTask {
    /// Texts of one thread, padded at the end.
    struct Shard: Sendable {
        var texts: [[Int32]]
    }

    let model: LanguageModel
    let format: PromptFormat
    let catalogue: Catalogue
    let batchCount: Int
    let seed: UInt64
    let weightDecay: Float

    let metricName = "validation log-likelihood per token"

    var parameters: [Parameter] { model.parameters }

    var groups: [AdamW.Group] { AdamW.Group.byDecay(parameters, weightDecay: weightDecay) }

    func shards(ofStep step: Int, count: Int) -> [Shard] {
        (0..<count).map { shard in
            var random = SeededRandom(seed: SeededRandom.mix(seed, UInt64(step), UInt64(shard)))
            let own = batchCount * (shard + 1) / count - batchCount * shard / count
            return Shard(texts: (0..<own).map { _ in text(phrasings: \.trainingPhrasings, using: &random) })
        }
    }

    /// A question and its answer: mostly about a title's categories, otherwise with a title or a category as the
    /// answer.
    ///
    /// Of a text that is longer than the model reads, its beginning.
    private func text(
        phrasings: KeyPath<UserTask, [String]>,
        using random: inout SeededRandom
    ) -> [Int32] {
        let item = catalogue.items[random.below(catalogue.count)]
        let draw = random.uniform()
        let task: UserTask
        let answer: String
        if draw < 0.6, !item.categories.isEmpty {
            task = .titleCategories
            answer = UserTask.categoriesAnswer(item.categories)
        } else if draw < 0.95 || item.categories.isEmpty {
            task = .nextTitle
            answer = item.title
        } else {
            task = .favouriteCategory
            answer = item.categories[random.below(item.categories.count)]
        }
        let choices = task[keyPath: phrasings]
        let question = choices[random.below(choices.count)].replacing("{title}", with: item.title)
        let text = format.prompt(question) + format.answer(answer) + [format.end]
        // The last token is only a target.
        return Array(text.prefix(model.configuration.maximumLength + 1))
    }

    func targetCount(_ shard: Shard) -> Int { shard.texts.reduce(0) { $0 + $1.count - 1 } }

    func loss(_ graph: Graph, _ shard: Shard, of shards: [Shard]) -> Variable? {
        let total = shards.reduce(0) { $0 + targetCount($1) }
        return total == 0 ? nil : graph.scale(summedLoss(graph, shard.texts), 1 / Float(total))
    }

    private func summedLoss(_ graph: Graph, _ texts: [[Int32]]) -> Variable {
        let length = (texts.map(\.count).max() ?? 1) - 1
        var tokens: [Int32] = []
        var rows: [Int32] = []
        var targets: [Int32] = []
        for (index, text) in texts.enumerated() {
            tokens += text.dropLast() + [Int32](repeating: format.pad, count: length - text.count + 1)
            rows += (0..<text.count - 1).map { Int32(index * length + $0) }
            targets += text.dropFirst()
        }
        let hidden = model.hidden(graph, tokens: tokens, count: texts.count)
        return graph.crossEntropy(
            graph.gatherRows(graph.reshaped(hidden, [texts.count * length, model.configuration.width]), rows),
            weight: graph.parameter(model.head),
            bias: nil,
            targets: targets,
            rowWeights: nil
        )
    }

    func validate(threads: Int) -> Double {
        // Titles are few and all of them are trained on; what is held out is the phrasing of the questions.
        var random = SeededRandom(seed: SeededRandom.mix(seed, .max))
        let texts = (0..<512).map { _ in text(phrasings: \.heldOutPhrasings, using: &random) }
        let graph = Graph(recording: false, seed: 0)
        var sum = 0.0
        for start in stride(from: 0, to: texts.count, by: 64) {
            let loss = summedLoss(graph, Array(texts[start..<min(start + 64, texts.count)]))
            sum += Double(graph.values(of: loss)[0])
            graph.reset()
        }
        return -sum / Double(texts.reduce(0) { $0 + $1.count - 1 })
    }
}
