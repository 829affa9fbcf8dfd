import Bytes
import Catalogues
import Foundation
import LanguageEngine
import Messages
import ModelFiles
import NeuralNetwork
import Tensors
import Testing
import Tokenization
import UserModels

@Suite struct TimelineTextTests {
    private let format: PromptFormat
    private let answers: KnownAnswers
    private let text: TimelineText

    init() throws {
        (answers, format) = try TinyWorld.answers()
        text = TimelineText(format: format, catalogue: TinyWorld.catalogue)
    }

    private func model() throws -> LanguageModel {
        var random = SeededRandom(seed: 3)
        var shape = LanguageModelConfiguration(vocabularySize: format.tokenizer.vocabularySize)
        (shape.width, shape.layers, shape.headWidth, shape.feedForwardWidth) = (32, 2, 8, 64)
        shape.maximumLength = 512
        return try LanguageModel(configuration: shape, using: &random)
    }

    private func titleLoss(_ model: LanguageModel, _ text: TrainingText) throws -> Float {
        let graph = Graph(recording: false, seed: 0)
        return graph.values(of: try #require(model.loss(graph, text, answers: answers).titles))[0]
    }

    private func message(_ body: () throws -> Void) -> String {
        do {
            try body()
            return "no error"
        } catch {
            return "\(error)"
        }
    }

    @Test func aPromptIsTheTaskAndTheListOldestFirst() throws {
        let events = TinyWorld.timeline(["a1", "d4", "c4"])
        let prompt = try text.prompt(events, tokens: 1_000)
        let list = "Star Dust | Action =4\nAlone | Drama, Comedy =4\nComedy | Comedy =4\n"
        #expect(format.tokenizer.decode(prompt.tokens) == "<|question|>\(TimelineText.task)<|answer|>\(list)")
        #expect(text.list(events) == list)
        #expect(prompt.eventCount == 3)
        let titles = prompt.titles.map { format.tokenizer.decode(Array(prompt.tokens[$0])) }
        #expect(titles == ["Star Dust", "Alone", "Comedy"])
        let category = try text.prompt(events, question: .favouriteCategory, tokens: 1_000)
        #expect(category.tokens.starts(with: prompt.tokens))
        #expect(format.tokenizer.decode(category.tokens).hasSuffix("=4\nFavourite category:\n"))
        #expect(category.tokens.count - prompt.tokens.count == overheadOfCategory)
    }

    private var overheadOfCategory: Int {
        text.overhead(of: .favouriteCategory) - text.overhead(of: .nextTitle)
    }

    @Test func asManyOfTheLatestEventsAsFit() throws {
        var random = SeededRandom(seed: 1)
        let events = TinyWorld.timeline(count: 9, using: &random)
        for question in TimelineText.Question.allCases {
            for count in 1...9 {
                let own = events.suffix(count).reduce(0) { $0 + text.tokenCount(of: $1) }
                let limit = text.overhead(of: question) + own
                let prompt = try text.prompt(events, question: question, tokens: limit)
                #expect(prompt.eventCount == count)
                #expect(prompt.tokens.count == limit)
                #expect(prompt == (try text.prompt(Array(events.suffix(count)), question: question, tokens: 1_000)))
                if count > 1 {
                    #expect(try text.prompt(events, question: question, tokens: limit - 1).eventCount == count - 1)
                }
            }
        }
    }

    @Test func aContextThatIsTooShortForOneEventIsNamed() throws {
        let events = TinyWorld.timeline(["a1", "a2"])
        let needed = text.overhead(of: .nextTitle) + text.tokenCount(of: events[1])
        #expect(message { _ = try text.prompt(events, tokens: needed) } == "no error")
        let found = message { _ = try text.prompt(events, tokens: needed - 1) }
        #expect(found == "context is \(needed - 1), expected at least \(needed) tokens, for one event")
        let overhead = text.overhead(of: .nextTitle)
        let none = message { _ = try text.prompt([TimelineEvent](), tokens: overhead - 1) }
        #expect(none == "context is \(overhead - 1), expected at least \(overhead) tokens, for the question")
        let empty = try text.prompt([TimelineEvent](), tokens: overhead)
        #expect(empty.eventCount == 0 && empty.titles.isEmpty && empty.tokens.count == overhead)
    }

    @Test func aLongTitleLeavesRoomForLess() throws {
        let long = String(repeating: "very long ", count: 200) + "title"
        let catalogue = try Catalogue(
            items: [
                CatalogueItem(id: "long", title: long, categories: ["Drama"]),
                CatalogueItem(id: "short", title: "Short", categories: []),
            ]
        )
        let text = TimelineText(format: format, catalogue: catalogue)
        let events = TinyWorld.timeline(["short", "short", "long", "short", "short"], rating: nil)
        #expect(text.list(events.prefix(1)) == "Short\n")
        let limit = text.overhead(of: .nextTitle) + text.tokenCount(of: events[2])
        // The long one does not fit beside those after it, and those before it would leave a gap.
        #expect(try text.prompt(events, tokens: limit).eventCount == 2)
        #expect(try text.prompt(Array(events[...2]), tokens: limit).eventCount == 1)
        #expect(message { _ = try text.prompt(Array(events[...2]), tokens: limit - 1) }.contains("for one event"))
    }

    @Test func unknownItemsRatingsAndLineBreaksAreWritten() throws {
        let catalogue = try Catalogue(
            items: [
                CatalogueItem(id: "broken", title: "Two\nlines\u{2028}more", categories: ["A\r\nB"]),
                CatalogueItem(id: "plain", title: "Plain", categories: ["Drama"]),
                CatalogueItem(id: "empty", title: "", categories: []),
            ]
        )
        let text = TimelineText(format: format, catalogue: catalogue)
        let events = [
            TimelineEvent(item: "broken", rating: 3.5, time: 0),
            TimelineEvent(item: "nowhere", rating: .infinity, time: 1),
            TimelineEvent(item: "nowhere", rating: -2, categories: ["Drama", "New\nOne"], time: 2),
            TimelineEvent(item: "plain", categories: ["Other"], time: 3),
        ]
        let list =
            "Two lines more | A  B =3.5\n(unknown)\n(unknown) | Drama, New One =-2\nPlain | Other\n"
        #expect(text.list(events) == list)
        let prompt = try text.prompt(events, tokens: 1_000)
        #expect(format.tokenizer.decode(prompt.tokens).hasSuffix("<|answer|>" + list))
        #expect([0, 1, 2].map(text.isWhole(title:)) == [false, true, false])
        // What stands in a line as it is nowhere in the catalogue is not learnt.
        let answers = KnownAnswers(catalogue: catalogue, categoryNames: catalogue.categories, format: format)
        let features = EventFeatures(configuration: EventFeatures.Configuration(), catalogue: catalogue)
        let training = try text.trainingText(events, answers: answers, features: features, tokens: 1_000)
        #expect(training.titles.answerCount == 1)
    }

    @Test func aPassOverATextLearnsEveryTitleFromThoseBeforeIt() throws {
        let model = try model()
        var random = SeededRandom(seed: 2)
        let events = TinyWorld.timeline(count: 7, using: &random)
        let training = try text.trainingText(events, answers: answers, features: TinyWorld.features, tokens: 400)
        #expect(training.titles.answerCount == 7)
        #expect(training.category.answerCount == 1)
        var sum: Float = 0
        for index in events.indices {
            let item = try #require(TinyWorld.catalogue.index(of: events[index].item))
            let question = try text.questionText(
                events[..<index],
                next: item,
                answers: answers,
                tokens: 400
            )
            sum += try titleLoss(model, question)
        }
        let found = try titleLoss(model, training)
        print("one pass \(found), one pass a title \(sum)")
        #expect(abs(found - sum) < 1e-3)
        // The longer text is cut like its prompt.
        let room = text.overhead(of: .favouriteCategory) + answers.longest
        let short = try text.trainingText(events, answers: answers, features: TinyWorld.features, tokens: room + 40)
        #expect(short.titles.answerCount < 7 && short.titles.answerCount > 0)
        #expect(short.tokens.count <= room + 40)
    }

    @Test func probabilitiesOfAllTitlesSumToOneAndTheEngineRanksByThem() throws {
        let model = try model()
        let events = TinyWorld.timeline(["a1", "d1", "c2"])
        let losses = try TinyWorld.catalogue.items.indices.map { item in
            try titleLoss(model, text.questionText(events, next: item, answers: answers, tokens: 400))
        }
        // "Quiet Rain" is the title of two items.
        let total = zip(TinyWorld.catalogue.items, losses).reduce(Float(0)) { $0 + ($1.0.id == "d2" ? 0 : exp(-$1.1)) }
        #expect(abs(total - 1) < 1e-4, "\(total)")
        let engine = try TextPromptEngine(
            model: model,
            text: text,
            answers: answers,
            context: 400,
            configuration: TinyWorld.exact
        )
        let found = try engine.answers(to: [
            TextPromptEngine.Question(events, count: 12),
            TextPromptEngine.Question(events, .favouriteCategory),
            TextPromptEngine.Question(events, excluding: [0, 4], count: 12),
            TextPromptEngine.Question(events, excluding: Set(0..<11), count: 3),
            TextPromptEngine.Question([]),
        ])
        let order = losses.indices.sorted { (losses[$0], $0) < (losses[$1], $1) }
        #expect(found[0].ranking == order)
        #expect(found[0].eventCount == 3)
        #expect(found[0].promptTokens == (try text.prompt(events, tokens: 400).tokens.count))
        #expect(Set(found[1].ranking) == [0, 1, 2])
        #expect(Set(found[2].ranking) == Set(0..<12).subtracting([0, 4]))
        #expect(found[3].ranking == [11])
        #expect(found[4].ranking.count == 10 && found[4].eventCount == 0)
        #expect(throws: AnswerError.nothingLeft) {
            _ = try engine.answers(to: [TextPromptEngine.Question(events, excluding: Set(0..<12))])
        }
    }

    @Test func aContextLongerThanTheModelsIsNamed() throws {
        let (model, text, answers) = (try model(), text, answers)
        let found = message {
            _ = try TextPromptEngine(
                model: model,
                text: text,
                answers: answers,
                context: 513,
                configuration: TinyWorld.exact
            )
        }
        #expect(found == "context is 513, expected at most the language model's 512 tokens")
    }

    @Test func theEngineAnswersWithMergedUpdates() throws {
        let model = try model()
        var random = SeededRandom(seed: 4)
        var configuration = LowRankAdapter.Configuration()
        configuration.rank = 4
        let adapter = try LowRankAdapter(configuration: configuration, base: model.configuration, using: &random)
        for parameter in adapter.parameters {
            parameter.value.assign((0..<parameter.count).map { _ in 0.3 * random.normal() })
        }
        let adapted = try model.adding(adapter)
        let events = TinyWorld.timeline(["a1", "d1", "c2"])
        func order(_ model: LanguageModel) throws -> [Int] {
            let losses = try TinyWorld.catalogue.items.indices.map { item in
                try titleLoss(model, text.questionText(events, next: item, answers: answers, tokens: 400))
            }
            return losses.indices.sorted { (losses[$0], $0) < (losses[$1], $1) }
        }
        let engine = try TextPromptEngine(
            model: adapted,
            text: text,
            answers: answers,
            context: 400,
            configuration: TinyWorld.exact
        )
        let expected = try order(adapted)
        #expect(try engine.answers(to: [TextPromptEngine.Question(events, count: 12)])[0].ranking == expected)
        #expect(try order(model) != expected)
    }
}
