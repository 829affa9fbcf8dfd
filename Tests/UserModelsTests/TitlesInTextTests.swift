import Bytes
import Catalogues
import LanguageEngine
import Messages
import ModelFiles
import NeuralNetwork
import Tensors
import Testing
import Tokenization

@testable import UserModels

/// Texts in which the titles between marks are the catalogue's.
@Suite struct TitlesInTextTests {
    /// As many as a tiny world has.
    private static let titles = [
        "Twin", "Other", "Twin", "Alien", "Alien (1979)", "Aliens", "(Odd)", "<b>", "Alien</title>", "<title>",
        "Two\nLines", "",
    ]

    private let catalogue: Catalogue
    private let features: EventFeatures
    private let format: PromptFormat

    init() throws {
        catalogue = try Catalogue(
            items: Self.titles.enumerated().map {
                CatalogueItem(id: ItemID("i\($0.offset)"), title: $0.element, categories: ["Drama"])
            }
        )
        features = EventFeatures(configuration: EventFeatures.Configuration(), catalogue: catalogue)
        let texts = Self.titles.flatMap { ["<title>\($0)</title>", ", <title>\($0)</title>!"] }
        format = try PromptFormat(
            tokenizer: BPETrainer.train(texts, vocabularySize: 330, specialTokens: PromptFormat.specialTokens)
        )
    }

    /// A random model that prefers no token by much, so that what a request favours is written.
    private func model(seed: UInt64) throws -> UserLanguageModel {
        let model = try TinyWorld.model(
            seed: seed,
            languageModel: {
                ($0.vocabularySize, $0.maximumLength) = (format.tokenizer.vocabularySize, 160)
                $0.tiesEmbeddings = false
            }
        )
        let head = try #require(model.languageModel.parameters.first { $0.name == "lm_head.weight" }).value
        head.assign(head.values.map { $0 / 10 })
        return model
    }

    private func answering(_ model: UserLanguageModel, _ fusion: FusionWeights? = nil) throws -> AnsweringEngine {
        try AnsweringEngine(
            model: model,
            sources: AnswerSources(catalogue: catalogue, features: features, format: format),
            configuration: TinyWorld.exact,
            fusion: fusion
        )
    }

    /// A question whose answer is likely to open titles.
    private func request(seed: UInt64, _ form: Question.AnswerForm = .textWithTitles) -> AnswerRequest {
        var request = AnswerRequest(text: "Next?", form: form, maximumTokens: 20 + Int(seed % 100), temperature: 1)
        request.sampling.seed = seed
        for token in format.answer("<title>") { request.sampling.logitBias[token] = 8 }
        for token in format.endTokens { request.sampling.logitBias[token] = -1 }
        return request
    }

    /// The text without the items' titles in their order; nil when one is not there.
    private func free(_ answer: GeneratedAnswer) -> String? {
        var (rest, free) = (answer.text[...], "")
        for item in answer.items {
            guard let range = rest.firstRange(of: item.title) else { return nil }
            free += rest[..<range.lowerBound]
            rest = rest[range.upperBound...]
        }
        return free + rest
    }

    private func ask(
        _ engine: AnsweringEngine,
        _ request: AnswerRequest,
        _ context: UserContext?
    ) throws -> GeneratedAnswer {
        var pieces = ""
        let answer = try engine.answer(request, context: context) { pieces += $0 }
        #expect(pieces == answer.text)
        return answer
    }

    @Test func everyTitleIsOneThatIsAllowed() throws {
        var named: Set<ItemID> = []
        for seed: UInt64 in 1...8 {
            let model = try model(seed: seed)
            let context = UserContext(
                rows: model.adapter.perceiver.contextWithoutHistory,
                pooled: 16.pooled(seed)
            )
            for fusion in [nil, FusionWeights.encoderAlone] {
                let engine = try answering(model, fusion)
                for draw: UInt64 in 0..<30 {
                    var request = request(seed: draw)
                    if draw % 2 == 0 { request.excludedItems = ["i1", "i4", "i0"] }
                    // What is favoured for the mark is favoured in these titles too.
                    if draw % 3 != 0 { request.excludedItems = (request.excludedItems ?? []).union(["i7", "i9"]) }
                    let answer = try ask(engine, request, context)
                    let ids = answer.items.map(\.id)
                    named.formUnion(ids)
                    #expect(Set(ids).count == ids.count && !ids.contains("i11"))
                    #expect(request.excludedItems?.isDisjoint(with: ids) ?? true)
                    for item in answer.items {
                        #expect(item.title == catalogue.items[try #require(catalogue.index(of: item.id))].title)
                        #expect(item.score.isFinite && item.score <= 0)
                    }
                    #expect(free(answer) != nil, "\(answer)")
                    if answer.items.allSatisfy({ !$0.title.contains("title>") }) {
                        #expect(!answer.text.contains("<title>") && !answer.text.contains("</title>"))
                    }
                }
            }
        }
        #expect(named.count > 6, "\(named)")
    }

    @Test func ofItemsWithOneTitleTheLikeliestIsNamed() throws {
        let model = try model(seed: 3)
        let engine = try answering(model)
        let twins: Set<ItemID> = ["i0", "i2"]
        func found(
            _ engine: AnsweringEngine,
            _ context: UserContext?,
            without excluded: Set<ItemID>
        ) throws -> Set<ItemID> {
            var found: Set<ItemID> = []
            for seed: UInt64 in 0..<60 {
                var request = request(seed: seed)
                request.excludedItems = excluded.union((1..<10).filter { $0 != 2 }.map { ItemID("i\($0)") })
                found.formUnion(try ask(engine, request, context).items.map(\.id).filter(twins.contains))
            }
            return found
        }
        #expect(try found(engine, nil, without: []) == ["i0"])
        #expect(try found(engine, nil, without: ["i0"]) == ["i2"])
        #expect(try found(engine, nil, without: twins) == [])
        let fused = try answering(model, .encoderAlone)
        let scorer = ItemScorer(model.encoder)
        for seed: UInt64 in 1...3 {
            let context = UserContext(rows: model.adapter.perceiver.contextWithoutHistory, pooled: 16.pooled(seed))
            let scores = scorer.scores(context.pooled)
            let best = [0, 2].max { scores[$0] < scores[$1] }
            #expect(try found(fused, context, without: []) == [try #require(best.map { ItemID("i\($0)") })])
        }
    }

    @Test func withoutTheFormMarksAreText() throws {
        let engine = try answering(model(seed: 2))
        var count = 0
        for seed: UInt64 in 0..<60 {
            let answer = try ask(engine, request(seed: seed, .text), nil)
            #expect(answer.items.isEmpty)
            count += answer.text.contains("<title>") ? 1 : 0
        }
        #expect(count > 3)
    }

    @Test func withoutATitleThereIsNoAnswer() throws {
        let engine = try answering(model(seed: 2))
        var request = request(seed: 1)
        request.excludedItems = Set(catalogue.items.map(\.id))
        #expect(throws: AnswerError.nothingLeft) { try engine.answer(request, context: nil) }
        request.form = .text
        #expect(try engine.answer(request, context: nil).items.isEmpty)
    }

    /// A model that has learnt to recommend with a reason does so, and only with what it may.
    @Test func whatIsLearntIsWrittenWithTitlesOfTheCatalogue() throws {
        let model = try TinyWorld.model(languageModel: { $0.maximumLength = 160 })
        let (answers, format) = try TinyWorld.answers()
        let users: [(history: [ItemID], item: ItemID, before: String, title: String, after: String)] = [
            (["a1", "a2", "a3"], "a4", "See ", "Iron Will", ", loud."), (["d1", "d3"], "d4", "", "Alone", " is sad."),
        ]
        let batch = UserQuestionBatch(
            timelines: NextEventBatch(
                windows: users.map { TinyWorld.features.indexed(TinyWorld.timeline($0.history + ["c1"]))[...] }
            ),
            questions: users.enumerated().map { index, user in
                TrainingQuestion(
                    prompt: format.prompt("What next, and why?"),
                    text: format.target("\(user.before)<title>\(user.title)</title>\(user.after)", tokens: 64),
                    timeline: index,
                    prefix: user.history.count
                )
            }
        )
        let groups = model.prepare(for: .full).map {
            AdamW.Group($0.parameters, learningRateScale: $0.learningRateScale)
        }
        let trainer = DataParallelTrainer(shards: 1, optimizer: AdamW(groups: groups), seed: 1)
        let counts = UserLanguageModel.Counts([batch])
        for _ in 0..<400 {
            _ = try trainer.step(learningRate: 3e-3) { graph, _ in
                model.loss(graph, batch, answers: answers, weights: .init(), counts: counts).total
            }
        }
        let engine = try TinyWorld.answering(model)
        for user in users {
            let context = TinyWorld.context(model, of: user.history)
            var request = AnswerRequest(text: "What next, and why?", form: .textWithTitles, maximumTokens: 64)
            let answer = try ask(engine, request, context)
            #expect(answer.text == "\(user.before)\(user.title)\(user.after)" && answer.finish == .stop)
            #expect(answer.items.map(\.id) == [user.item] && answer.items.map(\.title) == [user.title])
            request.excludedItems = [user.item]
            let other = try ask(engine, request, context)
            #expect(other.text.hasPrefix(user.before) && other.items.count >= 1)
            #expect(other.items.allSatisfy { $0.id != user.item && other.text.contains($0.title) })
            request.form = .text
            #expect(
                try ask(engine, request, context).text
                    == "\(user.before)<title>\(user.title)</title>\(user.after)"
            )
        }
    }
}

extension Int {
    /// So many random numbers.
    fileprivate func pooled(_ seed: UInt64) -> [Float] {
        var random = SeededRandom(seed: seed)
        return (0..<self).map { _ in random.normal() }
    }
}
