import Concurrency
import Datasets
import NeuralNetwork
import Synchronization
import UserModels

/// Trains a language model to continue users' timelines as text.
///
/// Every event of a text is a target: one pass over a thousand tokens learns as many titles as the text has lines, each from
/// all lines before it, and the favourite category at its end.
final class TextPromptTask: TrainingTask {
    /// The weight of all favourite categories together, as a share of the loss.
    private static let categoryShare: Float = 0.15

    let prompt: TextPromptModel
    let histories: Histories
    let strategy: TextPromptStrategy
    let batchCount: Int
    let seed: UInt64
    let weightDecay: Float
    /// Everything a checkpoint holds.
    let parameters: [Parameter]
    private let schedule: Mutex<WindowSchedule>

    let metricName = "validation log-likelihood of the next title"

    /// Prepares a training; what is not trained is frozen.
    init(
        prompt: TextPromptModel,
        histories: Histories,
        strategy: TextPromptStrategy,
        parameters: [Parameter],
        batchCount: Int,
        seed: UInt64,
        weightDecay: Float
    ) {
        self.prompt = prompt
        self.histories = histories
        self.strategy = strategy
        self.parameters = parameters
        self.batchCount = batchCount
        self.seed = seed
        self.weightDecay = weightDecay
        let fitting = prompt.fittingCount(histories.dataset)
        // A window has one event more than its length.
        let length = max(min(prompt.events ?? fitting, fitting) - 1, 1)
        schedule = Mutex(histories.schedule(length: length, seed: seed))
        for parameter in prompt.model.parameters { parameter.isTrainable = strategy == .full }
    }

    var groups: [AdamW.Group] {
        let updates = prompt.model.lowRank?.parameters ?? []
        guard strategy == .full else { return AdamW.Group.byDecay(updates, weightDecay: weightDecay) }
        // Updates of low rank learn best at about ten times the rate of the weights themselves
        // ("LoRA Without Regret", Thinking Machines, 2025), so that one setting serves both.
        let weights = prompt.model.parameters
        return [true, false].map { decays in
            AdamW.Group(
                weights.filter { ($0.decay == .always) == decays },
                learningRateScale: 0.1,
                weightDecay: decays ? weightDecay : 0
            )
        }
    }

    func shards(ofStep step: Int, count: Int) throws -> [[TrainingText]] {
        let windows = schedule.withLock { $0.windows(step * batchCount..<(step + 1) * batchCount) }
        return try (0..<count).map { shard in
            try windows[shard * batchCount / count..<(shard + 1) * batchCount / count].map { window in
                try prompt.text.trainingText(
                    histories.dataset.timeline(user: window.user, window.range),
                    answers: prompt.answers,
                    features: histories.features,
                    tokens: prompt.context
                )
            }
        }
    }

    func targetCount(_ shard: [TrainingText]) -> Int {
        shard.reduce(0) { $0 + $1.titles.answerCount + $1.category.answerCount }
    }

    func loss(_ graph: Graph, _ shard: [TrainingText], of shards: [[TrainingText]]) -> Variable? {
        let titles = shards.joined().reduce(0) { $0 + $1.titles.answerCount }
        let categories = shards.joined().reduce(0) { $0 + $1.category.answerCount }
        var total: Variable?
        for text in shard where !text.titles.positions.isEmpty || !text.category.positions.isEmpty {
            // The pass back through a text comes before the next one is read, so that the memory of one serves all.
            let before = total.map { graph.values(of: $0)[0] } ?? 0
            if let total { graph.backward(total) }
            let loss = prompt.model.loss(graph, text, answers: prompt.answers)
            var terms = [(graph.constant([before], shape: []), Float(1))]
            if let sum = loss.titles { terms.append((sum, (1 - Self.categoryShare) / Float(titles))) }
            if let sum = loss.category { terms.append((sum, Self.categoryShare / Float(categories))) }
            total = graph.sum(terms)
        }
        return total
    }

    func validate(threads: Int) throws -> Double {
        let users = histories.validatedUsers
        let sums = Mutex([Double](repeating: 0, count: users.count))
        let texts = try users.map { user in
            let target = histories.target(.validation, user: user)
            let start = prompt.events.map { max(target - $0, 0) } ?? 0
            return try prompt.text.questionText(
                histories.dataset.timeline(user: user, start..<target),
                next: histories.dataset.item(user: user, target),
                answers: prompt.answers,
                tokens: prompt.context
            )
        }
        BlockingExecutor.concurrently(threads) { thread in
            let graph = Graph(recording: false, seed: 0)
            for index in stride(from: thread, to: texts.count, by: threads) {
                let loss = prompt.model.loss(graph, texts[index], answers: prompt.answers).titles
                let sum = loss.map { graph.values(of: $0)[0] } ?? 0
                sums.withLock { $0[index] = Double(sum) }
                graph.reset()
            }
        }
        return -sums.withLock { $0.reduce(0, +) } / Double(max(users.count, 1))
    }
}
