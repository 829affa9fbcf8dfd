import Catalogues
import Datasets
import Foundation
import Bytes
import Messages
import NeuralNetwork
import Tensors
import Testing
import UserModels

/// A whole model learns a world of twelve titles: who watches one category goes on with it, in the catalogue's order.
@Suite struct LearningTests {
    private let features = TinyWorld.features
    private static let cycles: [[ItemID]] = [
        ["a1", "a2", "a3", "a4"], ["d1", "d3", "d4", "a4"], ["c1", "c2", "c3", "c4"],
    ]

    /// A timeline through one of the cycles, from anywhere, and the item after it.
    private func timeline(count: Int, using random: inout SeededRandom) -> (events: [TimelineEvent], next: ItemID) {
        let cycle = Self.cycles[random.below(Self.cycles.count)]
        let start = random.below(4)
        let items = (0...count).map { cycle[(start + $0) % 4] }
        return (TinyWorld.timeline(Array(items.dropLast())), items[count])
    }

    private func batch(
        _ answers: KnownAnswers,
        _ format: PromptFormat,
        using random: inout SeededRandom
    ) throws -> UserQuestionBatch {
        var windows: [ArraySlice<IndexedEvent>] = []
        var questions: [TrainingQuestion] = []
        for row in 0..<8 {
            let (events, next) = timeline(count: 8, using: &random)
            let indexed = features.indexed(events + [TimelineEvent(item: next, rating: 4, time: 480_000)])
            windows.append(indexed[...])
            for _ in 0..<3 {
                let prefix = 4 + random.below(5)
                let favourite = UserTask.favouriteCategories(of: indexed[..<prefix])[0]
                let targets = [
                    (UserTask.nextTitle, answers.tokens(ofTitle: Int(indexed[prefix].item))),
                    (.favouriteCategory, answers.tokens(ofCategory: Int(favourite))),
                ]
                for (task, answer) in targets {
                    questions.append(
                        try #require(
                            TrainingQuestion(
                                prompt: format.prompt(task.question(using: &random)),
                                answer: answer,
                                choice: .known,
                                answers: answers,
                                timeline: row,
                                prefix: prefix
                            )
                        )
                    )
                }
            }
        }
        return UserQuestionBatch(timelines: NextEventBatch(windows: windows), questions: questions)
    }

    @Test func answersBothQuestionsAfterAFewHundredSteps() throws {
        let model = try TinyWorld.model()
        let (answers, format) = try TinyWorld.answers()
        let optimizer = AdamW(
            groups: model.prepare(for: .full).map {
                AdamW.Group($0.parameters, learningRateScale: $0.learningRateScale)
            }
        )
        let trainer = DataParallelTrainer(shards: 1, optimizer: optimizer, seed: 1)
        var random = SeededRandom(seed: 11)
        var weights = UserLanguageModel.LossWeights()
        weights.nextEvent = 0.5
        let chosen = weights
        for _ in 0..<250 {
            let batch = try batch(answers, format, using: &random)
            let counts = UserLanguageModel.Counts([batch])
            _ = try trainer.step(learningRate: 3e-3) { graph, _ in
                model.loss(graph, batch, answers: answers, weights: chosen, counts: counts).total
            }
        }
        let engine = EncodingEngine(
            encoder: model.encoder,
            perceiver: model.adapter.perceiver,
            features: features,
            threads: 1
        )
        let answering = try TinyWorld.answering(model)
        var titles = 0
        var categories = 0
        for user in 0..<20 {
            let (events, next) = timeline(count: 6 + user % 2, using: &random)
            let context = UserContext(engine.encode([events])[0])
            // Phrasings never trained on, and nothing that says whether a title or a category is wanted.
            let title = try answering.answer(
                AnswerRequest(text: UserTask.nextTitle.heldOutPhrasings[user % 2]),
                context: context
            )
            titles += title.items.first?.id == next ? 1 : 0
            let category = try answering.answer(
                AnswerRequest(text: UserTask.favouriteCategory.heldOutPhrasings[user % 2], form: .category),
                context: context
            )
            let favourites = UserTask.favouriteCategories(of: features.indexed(events))
            categories += favourites.contains { features.categoryNames[Int($0)] == category.text } ? 1 : 0
        }
        #expect(titles >= 15, "\(titles) of 20 next titles are right")
        #expect(categories >= 17, "\(categories) of 20 favourite categories are right")
    }

    @Test func guidedModelSaysWhatTheEncoderExpects() throws {
        let model = try TinyWorld.model(seed: 3)
        let (answers, format) = try TinyWorld.answers()
        let events = TinyWorld.timeline(["a1", "d1", "c2", "a4", "a3"])
        let indexed = features.indexed(events)
        // An untrained encoder is nearly undecided; its own head, made sharper, expects something.
        for parameter in model.encoder.parameters where parameter.name == "items.weight" {
            parameter.value.assign(parameter.value.values.map { 8 * $0 })
        }
        var inputs = NextEventBatch(windows: [indexed[...]])
        inputs.events = EventBatch([indexed[...]])
        // Every title is the sampled answer once, so what the samples alone would teach is the same for each.
        let questions = try (0..<TinyWorld.catalogue.count).map { item in
            try #require(
                TrainingQuestion(
                    prompt: format.prompt("Which title comes next?"),
                    answer: answers.tokens(ofTitle: item),
                    choice: .title,
                    answers: answers,
                    prefix: events.count,
                    asksForNextItem: true
                )
            )
        }
        let batch = UserQuestionBatch(timelines: inputs, questions: questions)
        let counts = UserLanguageModel.Counts([batch])
        var weights = UserLanguageModel.LossWeights()
        weights.encoderGuidance = 1
        let chosen = weights
        _ = model.prepare(for: .full)
        let learning = model.adapter.parameters + model.languageModel.parameters
        for parameter in model.encoder.parameters { parameter.isTrainable = false }
        let trainer = DataParallelTrainer(
            shards: 1,
            optimizer: AdamW(groups: [AdamW.Group(learning)]),
            seed: 1
        )
        for _ in 0..<200 {
            _ = try trainer.step(learningRate: 3e-3) { graph, _ in
                model.loss(graph, batch, answers: answers, weights: chosen, counts: counts).total
            }
        }
        let graph = Graph(recording: false, seed: 0)
        let last = model.encoder.lastHidden(
            graph,
            hidden: model.encoder.hidden(graph, inputs.events),
            inputs.events
        )
        let masses = graph.values(of: model.encoder.scores(graph, lastHidden: last)).map { exp($0) }
        let context = EncodingEngine(
            encoder: model.encoder,
            perceiver: model.adapter.perceiver,
            features: features,
            threads: 1
        ).encode([events])[0].context
        let answering = try TinyWorld.answering(model)
        let ranked = try answering.answer(
            AnswerRequest(text: "Which title comes next?", form: .title, itemCount: 12),
            context: UserContext(rows: context)
        )
        var spread: Float = 0
        for item in ranked.items {
            let twins = TinyWorld.catalogue.items.indices.filter { TinyWorld.catalogue.items[$0].title == item.title }
            let expected = twins.reduce(Float(0)) { $0 + masses[$1] } / masses.reduce(0, +)
            #expect(abs(exp(item.score) - expected) < 0.02, "\(item.title)")
            spread = max(spread, expected)
        }
        // Had the encoder expected all alike, the samples would have taught the same.
        #expect(spread > 0.25)
    }
}
