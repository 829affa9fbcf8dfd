import Bytes
import Catalogues
import Messages
import ModelFiles
import NeuralNetwork
import Tensors
import Testing
import Tokenization

@testable import UserModels

/// Timelines of nothing that is known, of one event and of none; and questions that are too long.
@Suite struct OddTimelinesTests {
    private static let unknown = [
        TimelineEvent(item: "x1", rating: .nan, time: .min),
        TimelineEvent(item: "x2", rating: -.infinity, categories: ["Nothing"], time: 0),
        TimelineEvent(item: "", categories: [""], time: .max),
    ]

    /// Each timeline with whether anything is known of its user.
    private static let timelines: [(events: [TimelineEvent], isKnown: Bool)] = [
        (unknown, true), (Array(unknown.prefix(1)), true), (TinyWorld.timeline(["a1"], rating: nil), true), ([], false),
    ]

    @Test func everyTimelineHasARowAndAnAnswer() throws {
        let model = try TinyWorld.model(seed: 4)
        let encoder = EncodingEngine(
            encoder: model.encoder,
            perceiver: model.adapter.perceiver,
            features: TinyWorld.features,
            threads: 2
        )
        let rows = encoder.encode(Self.timelines.map(\.events))
        let weights = FusionWeights(branches: [.init(languageModel: 0.7, encoder: 0.9)])
        let engines = [try TinyWorld.answering(model), try TinyWorld.answering(model, fusion: weights)]
        let request = AnswerRequest(text: "Next?", form: .title, itemCount: 12)
        for (row, timeline) in zip(rows, Self.timelines) {
            let isFinite = (row.context + row.pooled).allSatisfy(\.isFinite)
            #expect(isFinite && row.context.count == 64 && row.pooled.count == 16)
            #expect(row.pooled.contains(where: { $0 != 0 }) == timeline.isKnown)
            let answers = try engines.map { try $0.answer(request, context: UserContext(row)) }
            for answer in answers {
                #expect(Set(answer.items.map(\.id)).count == 12)
                let isFinite = answer.items.allSatisfy { $0.score.isFinite }
                #expect(isFinite)
            }
            #expect((answers[0].items == answers[1].items) != timeline.isKnown)
        }
        // Without events it is the answer without a row.
        let nobody = try engines[0].answer(request, context: nil)
        #expect(try engines[0].answer(request, context: UserContext(rows[3])).items == nobody.items)
    }

    @Test func aTextOfUnknownItemsTeachesTheirCategoriesAtMost() throws {
        let (answers, format) = try TinyWorld.answers()
        let text = TimelineText(format: format, catalogue: TinyWorld.catalogue)
        let model = try TinyWorld.model(languageModel: { $0.maximumLength = 512 }).languageModel
        func training(_ events: [TimelineEvent]) throws -> (TrainingText, LanguageModel.TextLoss) {
            let training = try text.trainingText(events, answers: answers, features: TinyWorld.features, tokens: 512)
            return (training, model.loss(Graph(recording: false, seed: 0), training, answers: answers))
        }
        for events in [Self.unknown, []] {
            let (training, loss) = try training(events)
            #expect(training.titles.answerCount == 0 && training.category.answerCount == 0)
            #expect(loss.titles == nil && loss.category == nil)
        }
        let drama = [TimelineEvent(item: "x", categories: ["Drama"], time: 0)]
        let (known, loss) = try training(drama)
        #expect(known.titles.answerCount == 0 && known.category.answerCount == 1)
        #expect(loss.titles == nil && loss.category != nil)
        let (one, single) = try training(TinyWorld.timeline(["a1"]))
        #expect(one.titles.answerCount == 1 && single.titles != nil)
    }

    // MARK: - Questions

    private static let marks = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]

    /// System text and turns count as much as the question itself.
    @Test func aConversationLongerThanTheContextIsNamed() throws {
        let tokenizer = try BPETrainer.train(
            TinyWorld.catalogue.items.map(\.title) + TinyWorld.catalogue.categories + ["system user assistant"],
            vocabularySize: 400,
            specialTokens: Self.marks
        )
        let format = try PromptFormat(tokenizer: tokenizer, text: LanguageModelText(), template: "chatml")
        let sources = AnswerSources(catalogue: TinyWorld.catalogue, features: TinyWorld.features, format: format)
        for kind in UserAdapter.Kind.allCases {
            let model = try TinyWorld.model(
                languageModel: { ($0.vocabularySize, $0.maximumLength) = (tokenizer.vocabularySize, 256) },
                adapter: { $0.kind = kind }
            )
            let engine = try AnsweringEngine(
                model: model,
                sources: sources,
                configuration: TinyWorld.exact
            )
            let context = TinyWorld.context(model, of: ["a1"])
            let room = 256 - model.adapter.configuration.contextPositions
            func limit(_ request: AnswerRequest) throws -> Int? {
                do throws(AnswerError) {
                    _ = try engine.answer(request, context: context)
                    return nil
                } catch {
                    guard case .questionTooLong(let tokens, let limit) = error else { throw error }
                    #expect(tokens > limit)
                    return limit
                }
            }
            let long = String(repeating: "Z", count: 300)
            let turns = (0..<6).flatMap { _ in
                [
                    Question.Turn(role: .user, text: String(repeating: "Z", count: 30)),
                    Question.Turn(role: .assistant, text: String(repeating: "Q", count: 30)),
                ]
            }
            for form in [Question.AnswerForm.title, .text] {
                let expected = room - (form == .text ? 8 : sources.answers.longest)
                var request = AnswerRequest(text: "Next?", form: form, maximumTokens: 8)
                #expect(try limit(request) == nil)
                request.system = long
                #expect(try limit(request) == expected)
                (request.system, request.turns) = ("Be brief.", turns)
                #expect(try limit(request) == expected)
                request.turns = Array(turns.prefix(2))
                #expect(try limit(request) == nil)
                request.text = long
                #expect(try limit(request) == expected)
            }
        }
    }
}
