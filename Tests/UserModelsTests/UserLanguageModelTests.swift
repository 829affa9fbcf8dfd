import Bytes
import Messages
import NeuralNetwork
import Testing
import UserModels

@Suite struct UserLanguageModelTests {
    private let features = TinyWorld.features

    /// Next titles, favourite categories and facts about a few timelines.
    private func batch(_ answers: KnownAnswers, _ format: PromptFormat, seed: UInt64) throws -> UserQuestionBatch {
        var random = SeededRandom(seed: seed)
        let windows = (0..<3).map { _ in features.indexed(TinyWorld.timeline(count: 9, using: &random)) }
        var questions: [TrainingQuestion?] = []
        for (row, window) in windows.enumerated() {
            for prefix in [3, 8] {
                let title = answers.tokens(ofTitle: Int(window[prefix].item))
                let favourite = UserTask.favouriteCategories(of: window[..<prefix])[0]
                for (task, tokens, choice) in [
                    (UserTask.nextTitle, title, TrainingQuestion.Choice.title),
                    (.nextTitle, title, .known),
                    (.favouriteCategory, answers.tokens(ofCategory: Int(favourite)), .category),
                    (.nextTitle, title, .vocabulary),
                ] {
                    questions.append(
                        TrainingQuestion(
                            prompt: format.prompt(task.question(using: &random)),
                            answer: tokens,
                            choice: choice,
                            answers: answers,
                            timeline: row,
                            prefix: prefix
                        )
                    )
                }
            }
        }
        questions.append(
            TrainingQuestion(
                prompt: format.prompt(UserTask.titleCategories.question(title: "Alone", using: &random)),
                answer: format.answer("Drama, Comedy"),
                choice: .vocabulary,
                answers: answers,
                prefix: 0
            )
        )
        return UserQuestionBatch(
            timelines: NextEventBatch(windows: windows.map { $0[...] }),
            questions: try questions.map { try #require($0) }
        )
    }

    @Test(arguments: UserLanguageModel.Strategy.allCases)
    func frozenPartsKeepTheirBitsAndTheOthersLearn(strategy: UserLanguageModel.Strategy) throws {
        var model = try TinyWorld.model(dropout: 0.1)
        if strategy == .lora {
            var random = SeededRandom(seed: 1)
            let updates = try LowRankAdapter(
                configuration: LowRankAdapter.Configuration(),
                base: model.languageModel.configuration,
                using: &random
            )
            model = try UserLanguageModel(
                encoder: model.encoder,
                adapter: model.adapter,
                languageModel: model.languageModel.adding(updates)
            )
        }
        let (answers, format) = try TinyWorld.answers()
        let batches = [try batch(answers, format, seed: 1), try batch(answers, format, seed: 2)]
        let groups = model.prepare(for: strategy)
        let optimizer = AdamW(
            groups: groups.map {
                AdamW.Group($0.parameters, learningRateScale: $0.learningRateScale, weightDecay: $0.decays ? 0.01 : 0)
            }
        )
        let trainer = DataParallelTrainer(shards: 2, optimizer: optimizer, seed: 1)
        let before = TinyWorld.bits(model.parameters)
        let counts = UserLanguageModel.Counts(batches)
        var weights = UserLanguageModel.LossWeights()
        weights.nextEvent = 0.5
        let chosen = weights
        let trained = model
        for _ in 0..<3 {
            _ = try trainer.step(learningRate: 1e-3) { graph, shard in
                trained.loss(graph, batches[shard], answers: answers, weights: chosen, counts: counts).total
            }
        }
        let after = TinyWorld.bits(model.parameters)
        let learns: (encoder: Bool, adapter: Bool, languageModel: Bool) =
            switch strategy {
            case .full: (true, true, true)
            case .lora, .enc: (true, true, false)
            case .proj: (false, true, false)
            }
        for (part, isTrained) in [
            (model.encoder.parameters, learns.encoder), (model.adapter.parameters, learns.adapter),
            (model.languageModel.parameters, learns.languageModel),
            (model.languageModel.lowRank?.parameters ?? [], true),
        ] {
            for parameter in part {
                // Nothing reads the rating head in this loss, and no item of these timelines is unknown.
                let isIdle = parameter.name.hasPrefix("rating_head") || parameter.name == "unknown_items.weight"
                let changed = before[parameter.name] != after[parameter.name]
                #expect(changed == (isTrained && !isIdle), "\(parameter.name) under \(strategy)")
            }
        }
        #expect(Set(optimizer.parameters.map(\.name)).count == optimizer.parameters.count)
        #expect(optimizer.parameters.allSatisfy { $0.isTrainable })
    }

    @Test func shardsAddUpToTheWhole() throws {
        let model = try TinyWorld.model()
        let (answers, format) = try TinyWorld.answers()
        let whole = try batch(answers, format, seed: 3)
        let halves = [
            UserQuestionBatch(timelines: whole.timelines, questions: Array(whole.questions[..<11])),
            UserQuestionBatch(timelines: whole.timelines, questions: Array(whole.questions[11...])),
        ]
        func losses(_ batches: [UserQuestionBatch]) -> [Float] {
            let counts = UserLanguageModel.Counts(batches)
            return batches.map { batch in
                let graph = Graph(recording: false, seed: 0)
                let loss = model.loss(graph, batch, answers: answers, weights: .init(), counts: counts)
                return graph.values(of: loss.total)[0]
            }
        }
        let one = losses([whole])[0]
        #expect(abs(one - losses(halves).reduce(0, +)) < 1e-4 * one)
    }

    @Test func lossOfATitleIsItsProbabilityAmongTitles() throws {
        let model = try TinyWorld.model()
        let (answers, format) = try TinyWorld.answers()
        let events = TinyWorld.timeline(["a1", "d1", "c1"])
        let engine = EncodingEngine(
            encoder: model.encoder,
            perceiver: model.adapter.perceiver,
            features: features,
            threads: 1
        )
        let answering = try TinyWorld.answering(model)
        let question = UserTask.nextTitle.heldOutPhrasings[0]
        let ranked = try answering.answer(
            AnswerRequest(text: question, form: .title, itemCount: 12),
            context: UserContext(engine.encode([events])[0])
        )
        #expect(ranked.items.count == 12)
        let windows = NextEventBatch(windows: [features.indexed(events)[...]])
        var inputs = windows
        inputs.events = EventBatch([features.indexed(events)[...]])
        for item in ranked.items {
            let index = try #require(features.index(ofItem: item.id))
            let target = try #require(
                TrainingQuestion(
                    prompt: format.prompt(question),
                    answer: answers.tokens(ofTitle: index),
                    choice: .title,
                    answers: answers,
                    prefix: 3
                )
            )
            let batch = UserQuestionBatch(timelines: inputs, questions: [target])
            let graph = Graph(recording: false, seed: 0)
            let counts = UserLanguageModel.Counts([batch])
            let loss = model.loss(graph, batch, answers: answers, weights: .init(), counts: counts)
            #expect(abs(graph.values(of: loss.total)[0] + item.score) < 1e-4)
        }
    }

    @Test func closedGatesLeaveTheLogitsBitIdentical() throws {
        let (_, format) = try TinyWorld.answers()
        let prompt = format.prompt("What will the user watch next?")
        func logits(opening: Float, withUser: Bool) throws -> [UInt32] {
            let model = try TinyWorld.model(gateOpening: opening)
            let graph = Graph(recording: false, seed: 0)
            let events = model.encoder.hidden(
                graph,
                EventBatch([features.indexed(TinyWorld.timeline(["a1", "c1"]))[...]])
            )
            let contexts = model.adapter.perceiver.contexts(graph, events: events, timelines: [0], prefixes: [2])
            let context = model.adapter.prepare(graph, contexts: contexts, promptLengths: [prompt.count])
            let hidden = model.languageModel.hidden(
                graph,
                tokens: prompt,
                count: 1,
                beforeBlock: withUser ? { model.adapter.beforeBlock($0, $1, $2, context) } : nil
            )
            return graph.values(of: model.languageModel.logits(graph, hidden)).map(\.bitPattern)
        }
        let closed = (try logits(opening: 0, withUser: true), try logits(opening: 0, withUser: false))
        #expect(closed.0 == closed.1)
        let open = (try logits(opening: 0.5, withUser: true), try logits(opening: 0.5, withUser: false))
        #expect(open.0 != open.1)
    }

    @Test func prefixOfATimelineIsATimelineOfItsOwn() throws {
        let model = try TinyWorld.model()
        let events = features.indexed(TinyWorld.timeline(["a1", "d1", "c1", "a3", "d3"]))
        let graph = Graph(recording: false, seed: 0)
        let hidden = model.encoder.hidden(graph, EventBatch([events[...], events[..<3]]))
        let contexts = graph.values(
            of: model.adapter.perceiver.contexts(
                graph,
                events: hidden,
                timelines: [0, 1, 0, 0],
                prefixes: [3, 3, 5, 0]
            )
        )
        let size = contexts.count / 4
        #expect(worstDifference(contexts[..<size], contexts[size..<2 * size]) < 1e-5)
        #expect(worstDifference(contexts[..<size], contexts[2 * size..<3 * size]) > 1e-3)
        let without = graph.values(of: model.adapter.perceiver.contextsWithoutHistory(graph, count: 1))
        #expect(worstDifference(contexts[(3 * size)...], without) == 0)
    }

    @Test func questionEndsWithItsLastChoice() throws {
        let (answers, format) = try TinyWorld.answers()
        let prompt = format.prompt("What next?")
        let title = answers.tokens(ofTitle: 10)
        let question = try #require(
            TrainingQuestion(prompt: prompt, answer: title, choice: .title, answers: answers, prefix: 1)
        )
        for (index, node) in question.nodes.enumerated() {
            #expect(answers.titles.tokens(after: node).count > 1)
            #expect(answers.titles.tokens(after: node).contains(question.targets[index]))
        }
        #expect(question.tokens.count == Int(question.positions.last ?? -1) + 1)
        let plain = try #require(
            TrainingQuestion(prompt: prompt, answer: title, choice: .vocabulary, answers: answers, prefix: 1)
        )
        #expect(plain.targets == title + [format.end])
        #expect(plain.tokens == prompt + title)
        #expect(
            TrainingQuestion(
                prompt: prompt,
                answer: format.answer("No such title"),
                choice: .title,
                answers: answers,
                prefix: 1
            ) == nil
        )
    }
}
