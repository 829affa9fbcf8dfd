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

    /// What is asked.
    let tasks: AnswerTasks
    /// Reviews to ask for; nil where they are not among the tasks.
    let reviews: Reviews?
    let prompt: TextPromptModel
    let histories: Histories
    let strategy: TextPromptStrategy
    let batchCount: Int
    let seed: UInt64
    let weightDecay: Float
    /// Everything a checkpoint holds.
    let parameters: [Parameter]
    private let schedule: Mutex<WindowSchedule>

    var metricName: String { tasks.metricName }

    /// Prepares a training; what is not trained is frozen.
    init(
        prompt: TextPromptModel,
        histories: Histories,
        tasks: AnswerTasks = AnswerTasks(),
        reviews: Reviews? = nil,
        strategy: TextPromptStrategy,
        parameters: [Parameter],
        batchCount: Int,
        seed: UInt64,
        weightDecay: Float
    ) {
        self.prompt = prompt
        self.histories = histories
        (self.tasks, self.reviews) = (tasks, reviews)
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
            let part = windows[shard * batchCount / count..<(shard + 1) * batchCount / count]
            if let reviews, tasks.asksForReviews(step) {
                var random = SeededRandom(seed: SeededRandom.mix(seed, 2, UInt64(step), UInt64(shard)))
                return try part.compactMap { try reviewText($0, reviews, using: &random) }
            }
            return try part.map { window in
                try prompt.text.trainingText(
                    histories.dataset.timeline(user: window.user, window.range),
                    answers: prompt.answers,
                    features: histories.features,
                    tokens: prompt.context
                ).learning(titles: tasks.contains(.nextTitle), category: tasks.contains(.favouriteCategory))
            }
        }
    }

    /// One review of a window's user, after the events before it.
    private func reviewText(
        _ window: WindowSchedule.Window,
        _ reviews: Reviews,
        using random: inout SeededRandom
    ) throws -> TrainingText? {
        guard let event = reviews.draw(window, using: &random) else { return nil }
        return try reviewText(window.user, event, reviews.drawPhrasing(using: &random), reviews)
            // The lines of the list are there, so the next title is learnt from them as well.
            .learning(titles: tasks.contains(.nextTitle), category: false)
    }

    private func reviewText(
        _ user: Int,
        _ event: Int,
        _ phrasing: String,
        _ reviews: Reviews
    ) throws -> TrainingText {
        let start = prompt.events.map { max(event - $0, 0) } ?? 0
        return try prompt.text.reviewText(
            histories.dataset.timeline(user: user, start..<event),
            asking: reviews.question(phrasing, user: user, event),
            review: reviews.target(user: user, event) ?? [],
            answers: prompt.answers,
            features: histories.features,
            tokens: prompt.context
        )
    }

    func targetCount(_ shard: [TrainingText]) -> Int {
        shard.reduce(0) {
            $0 + $1.titles.answerCount + $1.category.answerCount + ($1.review.positions.isEmpty ? 0 : 1)
        }
    }

    func loss(_ graph: Graph, _ shard: [TrainingText], of shards: [[TrainingText]]) -> Variable? {
        let titles = shards.joined().reduce(0) { $0 + $1.titles.answerCount }
        let categories = shards.joined().reduce(0) { $0 + $1.category.answerCount }
        let words = shards.joined().reduce(0) { $0 + $1.review.targets.count }
        var total: Variable?
        for text in shard where !text.isEmpty {
            // The pass back through a text comes before the next one is read, so that the memory of one serves all.
            let before = total.map { graph.values(of: $0)[0] } ?? 0
            if let total { graph.backward(total) }
            let loss = prompt.model.loss(graph, text, answers: prompt.answers)
            var terms = [(graph.constant([before], shape: []), Float(1))]
            if let sum = loss.titles { terms.append((sum, (1 - Self.categoryShare) / Float(titles))) }
            if let sum = loss.category { terms.append((sum, Self.categoryShare / Float(categories))) }
            if let sum = loss.review { terms.append((sum, 1 / Float(words))) }
            total = graph.sum(terms)
        }
        return total
    }

    func validate(threads: Int) throws -> Double {
        var logLikelihood = 0.0
        if tasks.contains(.nextTitle) {
            let texts = try titleTexts()
            logLikelihood -= sum(of: texts, threads: threads) { $0.titles } / Double(max(texts.count, 1))
        }
        if let reviews {
            let texts = try reviews.validatedUsers.map { user in
                let event = histories.target(.validation, user: user)
                return try reviewText(user, event, ReviewQuestion.trainingPhrasings[0], reviews)
                    .learning(titles: false, category: false)
            }
            let words = texts.reduce(0) { $0 + $1.review.targets.count }
            logLikelihood -= sum(of: texts, threads: threads) { $0.review } / Double(max(words, 1))
        }
        return logLikelihood
    }

    private func titleTexts() throws -> [TrainingText] {
        try histories.validatedUsers.map { user in
            let target = histories.target(.validation, user: user)
            let start = prompt.events.map { max(target - $0, 0) } ?? 0
            return try prompt.text.questionText(
                histories.dataset.timeline(user: user, start..<target),
                next: histories.dataset.item(user: user, target),
                answers: prompt.answers,
                tokens: prompt.context
            )
        }
    }

    /// The summed loss of one term over texts.
    private func sum(
        of texts: [TrainingText],
        threads: Int,
        _ term: @Sendable (LanguageModel.TextLoss) -> Variable?
    ) -> Double {
        let sums = Mutex([Double](repeating: 0, count: texts.count))
        BlockingExecutor.concurrently(threads) { thread in
            let graph = Graph(recording: false, seed: 0)
            for index in stride(from: thread, to: texts.count, by: threads) {
                let loss = prompt.model.loss(graph, texts[index], answers: prompt.answers)
                let sum = term(loss).map { graph.values(of: $0)[0] } ?? 0
                sums.withLock { $0[index] = Double(sum) }
                graph.reset()
            }
        }
        return sums.withLock { $0.reduce(0, +) }
    }
}
