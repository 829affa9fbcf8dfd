import Catalogues
import Datasets
import Concurrency
import ModelFiles
import NeuralNetwork
import Synchronization
import UserModels

/// Trains the language model to answer from a user's context.
///
/// Each window of events is encoded once and used for several questions, after different numbers of events.
final class UserLanguageModelTask: TrainingTask {
    /// How questions are drawn.
    struct Mixture: Sendable {
        /// The number of questions per window.
        var questionsPerWindow = 6
        /// Share of questions about the favourite category.
        var categoryShare: Float = 0.15
        /// Share of questions asked without history.
        var withoutHistoryShare: Float = 0.03
        /// One in this many steps only asks about the catalogue, without a user, and is learned over the whole
        /// vocabulary; nil never asks.
        ///
        /// Such questions are long; mixed with the others, they would make all of them be padded to that length.
        var stepsPerFactStep: Int? = 40
        /// What is asked for.
        var tasks = AnswerTasks()
    }

    let model: UserLanguageModel
    let histories: Histories
    let answers: KnownAnswers
    let format: PromptFormat
    /// Reviews to ask for; nil where they are not among the tasks.
    let reviews: Reviews?
    let mixture: Mixture
    let weights: UserLanguageModel.LossWeights
    let strategy: UserLanguageModel.Strategy
    let batchCount: Int
    let seed: UInt64
    let weightDecay: Float
    /// Everything a checkpoint holds; what is left out is in files of its own.
    let parameters: [Parameter]
    /// The numbers of the items whose categories are asked about: all whose question and answer the language model can read.
    let factItems: [Int]
    private let schedule: Mutex<WindowSchedule>
    private let prompts: [UserTask: [[Int32]]]

    var metricName: String { mixture.tasks.metricName }

    init(
        model: UserLanguageModel,
        histories: Histories,
        answers: KnownAnswers,
        format: PromptFormat,
        reviews: Reviews?,
        mixture: Mixture,
        weights: UserLanguageModel.LossWeights,
        strategy: UserLanguageModel.Strategy,
        batchCount: Int,
        seed: UInt64,
        weightDecay: Float,
        parameters: [Parameter]? = nil
    ) {
        self.model = model
        self.parameters = parameters ?? model.parameters
        self.histories = histories
        self.answers = answers
        self.format = format
        self.reviews = reviews
        self.mixture = mixture
        self.weights = weights
        self.strategy = strategy
        self.batchCount = batchCount
        self.seed = seed
        self.weightDecay = weightDecay
        factItems = Self.factItems(
            histories.dataset.catalogue,
            format,
            room: model.languageModel.configuration.maximumLength - model.adapter.configuration.contextPositions
        )
        schedule = Mutex(histories.schedule(length: model.encoder.configuration.length, seed: seed))
        prompts = Dictionary(
            uniqueKeysWithValues: [UserTask.nextTitle, .favouriteCategory].map { task in
                (task, task.trainingPhrasings.map(format.prompt))
            }
        )
    }

    var groups: [AdamW.Group] {
        model.prepare(for: strategy).map {
            AdamW.Group(
                $0.parameters,
                learningRateScale: $0.learningRateScale,
                weightDecay: $0.decays ? weightDecay : 0
            )
        }
    }

    func shards(ofStep step: Int, count: Int) -> [UserQuestionBatch] {
        let windows = schedule.withLock { $0.windows(step * batchCount..<(step + 1) * batchCount) }
        return (0..<count).map { shard in
            let part = windows[shard * batchCount / count..<(shard + 1) * batchCount / count]
            var random = SeededRandom(seed: SeededRandom.mix(seed, 2, UInt64(step), UInt64(shard)))
            let events = part.map { histories.events[$0.user][$0.range] }
            var questions: [TrainingQuestion] = []
            if let every = mixture.stepsPerFactStep, step % every == every - 1 {
                let facts = part.compactMap { _ in fact(using: &random) }
                return UserQuestionBatch(timelines: NextEventBatch(windows: Array(events.prefix(1))), questions: facts)
            }
            if let reviews, mixture.tasks.asksForReviews(step) {
                return reviewBatch(part, events, reviews, using: &random)
            }
            // Questions with the same words are read together, so a shard uses one phrasing of each task.
            // They are drawn in a fixed order: a dictionary's own changes from one run to the next.
            var phrasings: [UserTask: [Int32]] = [:]
            for task in UserTask.allCases {
                if let choices = prompts[task] { phrasings[task] = choices[random.below(choices.count)] }
            }
            for (index, window) in events.enumerated() {
                for _ in 0..<mixture.questionsPerWindow {
                    if let question = question(about: window, index: index, phrasings, using: &random) {
                        questions.append(question)
                    }
                }
            }
            return UserQuestionBatch(timelines: NextEventBatch(windows: events), questions: questions)
        }
    }

    /// One review of each window's user.
    private func reviewBatch(
        _ windows: ArraySlice<WindowSchedule.Window>,
        _ events: [ArraySlice<IndexedEvent>],
        _ reviews: Reviews,
        using random: inout SeededRandom
    ) -> UserQuestionBatch {
        var questions: [TrainingQuestion] = []
        for (index, window) in windows.enumerated() {
            guard let event = reviews.draw(window, using: &random),
                let target = reviews.target(user: window.user, event)
            else { continue }
            let phrasing = reviews.drawPhrasing(using: &random)
            let isWithoutHistory = random.uniform() < mixture.withoutHistoryShare
            questions.append(
                TrainingQuestion(
                    prompt: format.prompt(reviews.question(phrasing, user: window.user, event)),
                    text: target,
                    timeline: index,
                    prefix: isWithoutHistory ? 0 : event - window.range.lowerBound
                )
            )
        }
        return UserQuestionBatch(timelines: NextEventBatch(windows: events), questions: questions)
    }

    private func question(
        about window: ArraySlice<IndexedEvent>,
        index: Int,
        _ phrasings: [UserTask: [Int32]],
        using random: inout SeededRandom
    ) -> TrainingQuestion? {
        let draw = random.uniform()
        // The longer of two draws, because timelines in production are mostly full.
        let prefix = 1 + max(random.below(window.count - 1), random.below(window.count - 1))
        let next = Int(window[window.startIndex + prefix].item)
        let (asksForTitle, asksForCategory) = (
            mixture.tasks.contains(.nextTitle), mixture.tasks.contains(.favouriteCategory)
        )
        if asksForTitle, draw < mixture.withoutHistoryShare {
            return titleQuestion(next, index: index, prefix: 0, phrasings)
        }
        if asksForCategory, !asksForTitle || draw < mixture.withoutHistoryShare + mixture.categoryShare {
            let favourites = UserTask.favouriteCategories(of: window.prefix(prefix))
            guard let favourite = favourites.first else { return nil }
            return TrainingQuestion(
                prompt: phrasings[.favouriteCategory] ?? [],
                answer: answers.tokens(ofCategory: Int(favourite)),
                choice: .known,
                answers: answers,
                timeline: index,
                prefix: prefix
            )
        }
        return titleQuestion(next, index: index, prefix: prefix, phrasings)
    }

    private func titleQuestion(
        _ item: Int,
        index: Int,
        prefix: Int,
        _ phrasings: [UserTask: [Int32]]
    ) -> TrainingQuestion? {
        TrainingQuestion(
            prompt: phrasings[.nextTitle] ?? [],
            answer: answers.tokens(ofTitle: item),
            choice: .known,
            answers: answers,
            timeline: index,
            prefix: prefix,
            asksForNextItem: true
        )
    }

    private static func factItems(_ catalogue: Catalogue, _ format: PromptFormat, room: Int) -> [Int] {
        let phrasings = UserTask.titleCategories.trainingPhrasings
        let overhead = format.prompt("").count + (phrasings.map(\.utf8.count).max() ?? 0)
        return catalogue.items.indices.filter { index in
            let item = catalogue.items[index]
            let answer = UserTask.categoriesAnswer(item.categories)
            // A token is at least a byte of the text, and composing makes no text three times as long.
            if overhead + 3 * (item.title.utf8.count + answer.utf8.count) <= room { return true }
            let left = room - format.answer(answer).count
            return phrasings.allSatisfy { format.prompt($0.replacing("{title}", with: item.title)).count <= left }
        }
    }

    private func fact(using random: inout SeededRandom) -> TrainingQuestion? {
        guard !factItems.isEmpty else { return nil }
        let item = histories.dataset.catalogue.items[factItems[random.below(factItems.count)]]
        return TrainingQuestion(
            prompt: format.prompt(UserTask.titleCategories.question(title: item.title, using: &random)),
            answer: format.answer(UserTask.categoriesAnswer(item.categories)),
            choice: .vocabulary,
            answers: answers,
            prefix: 0
        )
    }

    func targetCount(_ shard: UserQuestionBatch) -> Int { shard.questions.count }

    func loss(_ graph: Graph, _ shard: UserQuestionBatch, of shards: [UserQuestionBatch]) -> Variable? {
        guard !shard.questions.isEmpty else { return nil }
        let counts = UserLanguageModel.Counts(shards)
        return model.loss(graph, shard, answers: answers, weights: weights, counts: counts).total
    }

    func validate(threads: Int) -> Double {
        var logLikelihood = 0.0
        if mixture.tasks.contains(.nextTitle) {
            let users = histories.validatedUsers
            let batches = Self.parts(of: users, 32).map(validationBatch)
            logLikelihood -= sum(of: .title, batches, threads: threads) / Double(max(users.count, 1))
        }
        if let reviews {
            let batches = Self.parts(of: reviews.validatedUsers, 8).map { validationBatch($0, reviews) }
            let tokens = UserLanguageModel.Counts(batches).textTokens
            logLikelihood -= sum(of: .text, batches, threads: threads) / Double(max(tokens, 1))
        }
        return logLikelihood
    }

    private static func parts(of users: [Int], _ count: Int) -> [[Int]] {
        stride(from: 0, to: users.count, by: count).map { Array(users[$0..<min($0 + count, users.count)]) }
    }

    /// The summed loss of one term, which all questions have.
    private func sum(
        of choice: TrainingQuestion.Choice,
        _ batches: [UserQuestionBatch],
        threads: Int
    ) -> Double {
        let sums = Mutex([Double](repeating: 0, count: batches.count))
        // Only one term of the loss is read.
        let weights = UserLanguageModel.LossWeights()
        BlockingExecutor.concurrently(threads) { thread in
            let graph = Graph(recording: false, seed: 0)
            for index in stride(from: thread, to: batches.count, by: threads) {
                // Whoever went on with an item without a title cannot be asked for it.
                if batches[index].questions.isEmpty { continue }
                // Counts of one make the mean a sum.
                var counts = UserLanguageModel.Counts([])
                (counts.knownAnswers, counts.textTokens) = (1, 1)
                let loss = model.loss(graph, batches[index], answers: answers, weights: weights, counts: counts)
                let sum = loss.parts.first { $0.name == choice.rawValue }.map { graph.values(of: $0.value)[0] } ?? 0
                sums.withLock { $0[index] = Double(sum) }
                graph.reset()
            }
        }
        return sums.withLock { $0.reduce(0, +) }
    }

    /// Each user's events up to the one that validates.
    private func validationWindows(_ users: [Int]) -> [ArraySlice<IndexedEvent>] {
        let length = model.encoder.configuration.length
        return users.map { user in
            let target = histories.target(.validation, user: user)
            return histories.events[user][max(target - length, 0)...target]
        }
    }

    private func validationBatch(_ users: [Int], _ reviews: Reviews) -> UserQuestionBatch {
        let windows = validationWindows(users)
        let questions = zip(users, windows).enumerated().compactMap { index, pair -> TrainingQuestion? in
            let (user, window) = pair
            let event = histories.target(.validation, user: user)
            return reviews.target(user: user, event).map { target in
                TrainingQuestion(
                    prompt: format.prompt(reviews.question(ReviewQuestion.trainingPhrasings[0], user: user, event)),
                    text: target,
                    timeline: index,
                    prefix: window.count - 1
                )
            }
        }
        return UserQuestionBatch(timelines: NextEventBatch(windows: windows), questions: questions)
    }

    private func validationBatch(_ users: [Int]) -> UserQuestionBatch {
        let windows = validationWindows(users)
        let questions = windows.enumerated().compactMap { index, window in
            window.last.flatMap { next in
                TrainingQuestion(
                    prompt: prompts[.nextTitle]?[0] ?? [],
                    answer: answers.tokens(ofTitle: Int(next.item)),
                    choice: .title,
                    answers: answers,
                    timeline: index,
                    prefix: window.count - 1
                )
            }
        }
        return UserQuestionBatch(timelines: NextEventBatch(windows: windows), questions: questions)
    }
}
