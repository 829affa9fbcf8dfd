import Bytes
import Foundation
import Messages
import ModelFiles
import NeuralNetwork
import Tensors
import Testing

@testable import UserModels

/// What users wrote, learnt as free text from their contexts.
@Suite struct ReviewTrainingTests {
    private let features = TinyWorld.features

    @Test func phrasingsForTestsAreNeverTrainedOn() {
        let (trained, heldOut) = (ReviewQuestion.trainingPhrasings, ReviewQuestion.heldOutPhrasings)
        #expect(trained.count >= 6 && heldOut.count >= 2 && Set(trained).isDisjoint(with: heldOut))
        for phrasing in trained + heldOut {
            let text = ReviewQuestion.text(phrasing, title: "A {rating} X", rating: 4)
            #expect(text.contains("A {rating} X") && text.contains("4") && !text.contains("{title}"))
        }
        #expect(ReviewQuestion.text("{title}: {rating}", title: "X", rating: nil) == "X: none")
        #expect(ReviewQuestion.text("{title}: {rating}", title: "X", rating: 3.5) == "X: 3.5")
    }

    @Test func aTextEndsWhereItIsNotCut() throws {
        let (_, format) = try TinyWorld.answers()
        let tokens = format.answer("loud and solid")
        #expect(format.target("loud and solid", tokens: tokens.count) == tokens + [format.end])
        #expect(format.target("loud and solid", tokens: tokens.count - 1) == tokens.dropLast())
    }

    /// Loss and gradient of the head are those of a softmax at the text's tokens, and nowhere else.
    @Test func onlyTheTokensOfTheTextAreLearnt() throws {
        let model = try TinyWorld.model(gateOpening: 0) {
            $0.tiesEmbeddings = false
            $0.maximumLength = 128
        }
        _ = model.prepare(for: .full)
        let (answers, format) = try TinyWorld.answers()
        let (prompt, text) = (format.prompt("What of Alone?"), format.target("it was fine", tokens: 64))
        let question = TrainingQuestion(prompt: prompt, text: text, prefix: 0)
        #expect(question.targets == text && question.tokens == prompt + text.dropLast())
        #expect(question.positions == text.indices.map { Int32(prompt.count - 1 + $0) })
        let window = features.indexed(TinyWorld.timeline(["a1", "d1"]))[...]
        let batch = UserQuestionBatch(timelines: NextEventBatch(windows: [window]), questions: [question])
        let graph = Graph(recording: true, seed: 0)
        let loss = model.loss(graph, batch, answers: answers, weights: .init(), counts: .init([batch]))
        #expect(loss.parts.map(\.name) == ["text"])
        graph.backward(loss.total)
        let found = try #require(graph.gradient(of: model.languageModel.head)).values

        let plain = Graph(recording: false, seed: 0)
        let hidden = plain.values(of: model.languageModel.hidden(plain, tokens: question.tokens, count: 1))
        let head = model.languageModel.head.value.values
        let D = model.languageModel.configuration.width
        let V = head.count / D
        var (sum, wanted) = (0.0, [Double](repeating: 0, count: head.count))
        for (index, target) in text.enumerated() {
            let position = prompt.count - 1 + index
            let state = hidden[position * D..<(position + 1) * D].map { Double($0) }
            let logits = (0..<V).map { row in (0..<D).reduce(0.0) { $0 + state[$1] * Double(head[row * D + $1]) } }
            let greatest = logits.max() ?? 0
            let total = logits.reduce(0.0) { $0 + exp($1 - greatest) }
            sum -= logits[Int(target)] - greatest - log(total)
            for row in 0..<V {
                let change = exp(logits[row] - greatest) / total - (row == Int(target) ? 1 : 0)
                for column in 0..<D { wanted[row * D + column] += change * state[column] / Double(text.count) }
            }
        }
        #expect(abs(Double(graph.values(of: loss.total)[0]) - sum / Double(text.count)) < 1e-4)
        #expect(worstDifference(found.map { Float($0) }, wanted.map { Float($0) }) < 1e-4)
    }

    /// Whichever way texts are read, the blocks with cross-attention make the same of them.
    @Test(arguments: SharedStatesTests.Entry.all)
    func textsReadApartAreThoseReadShared(entry: SharedStatesTests.Entry) throws {
        let model = try TinyWorld.model(
            languageModel: { $0.layers = 4 },
            adapter: {
                $0.crossAttentionFrom = entry.first
                $0.crossAttentionEvery = entry.every
                $0.contextFrom = entry.reach
            }
        )
        _ = model.prepare(for: .proj)
        let (_, format) = try TinyWorld.answers()
        let texts = [("What now?", "Pie Fight"), ("Which one?", "Alone"), ("What now?", ""), ("So?", "A Letter")].map {
            (prompt: format.prompt($0.0)[...], answer: format.answer($0.1)[...])
        }
        let states = SharedStates(model.languageModel, model.adapter.configuration)
        let graph = Graph(recording: false, seed: 0)
        let apart = states.readApart(graph, texts)
        #expect(states.keptBytes == 0)
        let shared = states.read(graph, texts)
        #expect(apart.starts == shared.starts && apart.packing.lengths == shared.packing.lengths)
        #expect(worstDifference(graph.values(of: apart.states), graph.values(of: shared.states)) < 1e-5)
        func read(_ texts: SharedStates.Texts) -> [Float] {
            let blocks = entry.first..<4
            let hidden = model.languageModel.read(
                graph,
                texts.states,
                texts.packing,
                blocks: blocks,
                after: texts.prefixes
            ).hidden
            return Array(graph.values(of: hidden))
        }
        #expect(worstDifference(read(apart), read(shared)) < 1e-4)
    }

    /// Three users asked the same question have written different things.
    @Test(arguments: UserAdapter.Kind.allCases)
    func aHandfulOfReviewsIsLearntAndWritten(kind: UserAdapter.Kind) throws {
        let model = try TinyWorld.model(languageModel: { $0.maximumLength = 128 }, adapter: { $0.kind = kind })
        let (answers, format) = try TinyWorld.answers()
        let users: [(history: [ItemID], review: String)] = [
            (["a1", "a2", "a3"], "bold and loud"), (["d1", "d3", "d4"], "quiet, sad, fine"),
            (["c1", "c2", "c3"], "made me laugh"),
        ]
        let question = ReviewQuestion.text(ReviewQuestion.trainingPhrasings[0], title: "Iron Will", rating: 4)
        let batch = UserQuestionBatch(
            timelines: NextEventBatch(
                windows: users.map { features.indexed(TinyWorld.timeline($0.history + ["a4"]))[...] }
            ),
            questions: users.enumerated().map { index, user in
                TrainingQuestion(
                    prompt: format.prompt(question),
                    text: format.target(user.review, tokens: 32),
                    timeline: index,
                    prefix: 3
                )
            }
        )
        let optimizer = AdamW(
            groups: model.prepare(for: .full).map {
                AdamW.Group($0.parameters, learningRateScale: $0.learningRateScale)
            }
        )
        let trainer = DataParallelTrainer(shards: 1, optimizer: optimizer, seed: 1)
        let counts = UserLanguageModel.Counts([batch])
        var loss: Float = .infinity
        for _ in 0..<400 {
            loss = try trainer.step(learningRate: 3e-3) { graph, _ in
                model.loss(graph, batch, answers: answers, weights: .init(), counts: counts).total
            }.loss
        }
        #expect(loss < 0.1)
        let answering = try TinyWorld.answering(model)
        for user in users {
            let answer = try answering.answer(
                AnswerRequest(text: question, form: .text, maximumTokens: 32),
                context: TinyWorld.context(model, of: user.history)
            )
            #expect(answer.text == user.review && answer.finish == .stop)
        }
    }

    @Test func aReviewFollowsTheTimelineAsText() throws {
        let (answers, format) = try TinyWorld.answers()
        let text = TimelineText(format: format, catalogue: TinyWorld.catalogue)
        let events = TinyWorld.timeline(["a1", "d1", "c1"])
        let review = format.target("made me laugh", tokens: 32)
        let plain = try text.prompt(events, tokens: 1_000)
        let example = try text.reviewText(
            events,
            asking: "Well?\nSay.",
            review: review,
            answers: answers,
            features: features,
            tokens: 1_000
        )
        // Line breaks of a question do not make more lines of it.
        let prompt = plain.tokens + format.answer("Well? Say.\n")
        #expect(example.tokens == prompt + review.dropLast())
        #expect(example.review.targets == review)
        #expect(example.review.positions == review.indices.map { Int32(prompt.count - 1 + $0) })
        #expect(example.titles.answerCount == 3 && example.category.answerCount == 0)
        let alone = example.learning(titles: false, category: false)
        #expect(alone.tokens == example.tokens && alone.titles.answerCount == 0 && alone.review == example.review)
        // Of a long timeline the latest events are read that leave room for question and review.
        let limit = prompt.count + review.count - 1
        let cut = try text.prompt(events, asking: "Well?\nSay.", tokens: limit - review.count)
        #expect(cut.eventCount == 2)
        #expect(throws: ModelConfigurationError.self) {
            try text.prompt(events, asking: "Well?", tokens: text.overhead(of: .nextTitle))
        }
    }
}
