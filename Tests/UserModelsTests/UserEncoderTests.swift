import Catalogues
import Foundation
import Bytes
import Messages
import NeuralNetwork
import Tensors
import TestSupport
import Testing
import UserModels

/// What holds for every encoder, with both kinds of blocks.
@Suite struct UserEncoderTests {
    /// A kind of encoder and of block.
    struct Choice: CustomTestStringConvertible, Sendable {
        var kind: EncoderConfiguration.Kind
        var block: EncoderConfiguration.Block

        var testDescription: String { "\(kind.rawValue), \(block.rawValue)" }

        static let all = EncoderConfiguration.Kind.allCases.flatMap { kind in
            EncoderConfiguration.Block.allCases.map { Choice(kind: kind, block: $0) }
        }

        var configuration: EncoderConfiguration {
            var shape = EncoderConfiguration(kind, itemCount: 12, categoryCount: 3)
            shape.block = block
            (shape.width, shape.feedForwardWidth, shape.length, shape.dropout) = (16, 32, 8, 0)
            shape.timeBiasBuckets = block == .hstu ? 20 : 0
            return shape
        }

        func encoder(
            seed: UInt64 = 1,
            _ change: (inout EncoderConfiguration) -> Void = { _ in }
        ) throws -> any UserEncoder {
            var shape = configuration
            change(&shape)
            var random = SeededRandom(seed: seed)
            return try shape.makeEncoder(catalogue: TinyWorld.catalogue, using: &random)
        }
    }

    private let features = TinyWorld.features

    private func events(_ items: [ItemID], gap: Int64 = 60_000) -> [IndexedEvent] {
        features.indexed(items.enumerated().map { TimelineEvent(item: $1, rating: 4, time: Int64($0) * gap) })
    }

    /// States and scores of some timelines.
    private func scores(_ encoder: any UserEncoder, _ timelines: [[IndexedEvent]], recording: Bool = false) -> [Float] {
        let graph = Graph(recording: recording, seed: 0)
        graph.isTraining = false
        let states = encoder.states(graph, EventBatch(timelines.map { $0[...] }))
        return graph.values(of: encoder.scores(graph, states: states))
    }

    @Test(arguments: Choice.all)
    func aTimelineIsEncodedAlikeAloneAndBesideLongerOnes(choice: Choice) throws {
        let encoder = try choice.encoder()
        let timelines = [
            events(["a1"]), events(["a1", "d1", "c1", "c2", "a3", "a2", "d2", "d3"]), events(["c3", "d1", "new"]),
        ]
        let together = scores(encoder, timelines)
        for (row, timeline) in timelines.enumerated() {
            let alone = scores(encoder, [timeline])
            #expect(worstDifference(alone, together[row * 12..<(row + 1) * 12]) < 1e-5)
        }
        #expect(worstDifference(scores(encoder, timelines, recording: true), together) == 0)
    }

    @Test(arguments: Choice.all)
    func encodingGivesTheNumbersThatTrainingSees(choice: Choice) throws {
        // One target at the end of each window, so that the loss is that of the scores.
        let encoder = try choice.encoder {
            $0.loss = ItemLoss()
            ($0.lastMaskedShare, $0.hiddenItemShare, $0.categoryLossWeight) = (1, 0, 0)
        }
        let window = events(["a1", "d1", "c1", "c2", "a3"])
        var random = SeededRandom(seed: 2)
        let batch = encoder.trainingBatch([window[...]], using: &random)
        let graph = Graph(recording: true, seed: 0)
        let count = batch.targetCount
        let loss = graph.values(of: encoder.loss(graph, batch, targetCount: 1))[0]
        var expected: Float = 0
        for end in (window.count - count)..<window.count {
            let row = scores(encoder, [Array(window[..<end])])
            let greatest = row.max() ?? 0
            let sum = row.reduce(0) { $0 + exp($1 - greatest) }
            expected += log(sum) + greatest - row[Int(window[end].item)]
        }
        #expect(choice.kind == .masked ? count == 1 : count == 4)
        #expect(abs(loss - expected) < 1e-4 * max(expected, 1), "\(loss), from the scores \(expected)")
    }

    @Test(arguments: Choice.all)
    func gradientsAgreeWithDifferences(choice: Choice) throws {
        let encoder = try choice.encoder {
            ($0.width, $0.feedForwardWidth, $0.layers, $0.heads, $0.length) = (8, 8, 1, 2, 4)
            ($0.ratingLossWeight, $0.hiddenItemShare) = (choice.kind == .dual ? 0 : 0.1, 0.2)
            // The cosine over a small temperature bends too much for differences of this size.
            $0.head.temperature = 0.5
        }
        // At the usual size the first numbers are so small that their norms bend within a step of the differences.
        var source = SeededValues(seed: 5)
        for parameter in encoder.parameters where parameter.shape.count == 2 {
            parameter.value.assign(source.normal(parameter.count, deviation: 0.6))
        }
        var random = SeededRandom(seed: 3)
        let windows = [events(["a1", "d1", "c1", "a4", "a2"], gap: 900_000), events(["c2", "d4"])]
        var batch = encoder.trainingBatch(windows.map { $0[...] }, using: &random)
        batch.negatives = NegativeSampler(loss: encoder.configuration.loss, trainingCounts: (0..<12).map { $0 })
            .negatives(for: batch.targetItems, using: &random)
        let fixed = batch
        let used = encoder.parameters.filter { parameter in
            let graph = Graph(recording: true, seed: 1)
            graph.backward(encoder.loss(graph, fixed, targetCount: 3))
            // A softmax does not see what is added to every key alike: the gradient is rounding on both sides.
            return graph.gradient(of: parameter) != nil && !parameter.name.hasSuffix("key.bias")
        }
        #expect(used.count > 10)
        GradientCheck.expect(used, tolerance: 1e-2, step: 0.03) { encoder.loss($0, fixed, targetCount: 3) }
    }

    @Test(arguments: Choice.all, ItemLoss.Kind.allCases)
    func learnsWhichItemFollows(choice: Choice, kind: ItemLoss.Kind) throws {
        let encoder = try choice.encoder {
            $0.loss.kind = kind
            $0.loss.negativeCount = 16
            $0.fusion = .add
        }
        // A cycle through the catalogue: the next item follows from the present one.
        let items = TinyWorld.catalogue.items.map(\.id)
        let windows = items.indices.map { start in events((0..<9).map { items[(start + $0) % items.count] }) }
        let sampler = NegativeSampler(loss: encoder.configuration.loss, trainingCounts: items.map { _ in 9 })
        let trainer = DataParallelTrainer(
            shards: 1,
            optimizer: AdamW(groups: [AdamW.Group(encoder.parameters)]),
            seed: 1
        )
        var random = SeededRandom(seed: 4)
        let steps = choice.kind == .masked ? 400 : 120
        for step in 0..<steps {
            // Of all lengths, as the place of the event to be predicted is another then.
            let parts = windows.map { $0[..<(3 + random.below(7))] }
            var batch = encoder.trainingBatch(parts, using: &random)
            batch.negatives = sampler.negatives(for: batch.targetItems, using: &random)
            let made = batch
            _ = try trainer.step(learningRate: step < steps / 2 ? 0.01 : 0.002) { graph, _ in
                encoder.loss(graph, made, targetCount: made.targetCount)
            }
        }
        var right = 0
        for start in items.indices {
            let scores = scores(encoder, [Array(windows[start][..<6])])
            if Ranking.top(1, scores: scores) == [(start + 6) % 12] { right += 1 }
        }
        #expect(right >= 11, "\(right) of 12 next items are right")
    }

    @Test(arguments: [EncoderConfiguration.Kind.autoregressive, .dual], EncoderConfiguration.Block.allCases)
    func laterEventsDoNotChangeEarlierStates(kind: EncoderConfiguration.Kind, block: EncoderConfiguration.Block) throws
    {
        let encoder = try Choice(kind: kind, block: block).encoder()
        func hidden(_ items: [ItemID]) -> [Float] {
            let graph = Graph(recording: false, seed: 0)
            return graph.values(of: encoder.hidden(graph, EventBatch([events(items)[...]])))
        }
        let (before, after) = (hidden(["a1", "d1", "c1", "c2"]), hidden(["a1", "d1", "c1", "new"]))
        #expect(worstDifference(before[..<48], after[..<48]) == 0)
        #expect(worstDifference(before[48...], after[48...]) > 1e-3)
    }

    @Test func aHiddenEventShowsNothingOfItself() throws {
        for block in EncoderConfiguration.Block.allCases {
            let encoder = try Choice(kind: .masked, block: block).encoder { $0.lastMaskedShare = 1 }
            func hidden(_ last: TimelineEvent) throws -> [Float] {
                let window = features.indexed(TinyWorld.timeline(["a1", "d1"]) + [last])
                var random = SeededRandom(seed: 1)
                let batch = encoder.trainingBatch([window[...]], using: &random)
                #expect(batch.targetItems.prefix(2) == [-1, -1] && batch.targetItems[2] == window[2].item)
                let graph = Graph(recording: false, seed: 0)
                return graph.values(of: encoder.hidden(graph, batch.events))
            }
            let first = try hidden(TimelineEvent(item: "c1", rating: 1, time: 120_000))
            let second = try hidden(TimelineEvent(item: "a2", rating: 5, categories: ["Drama"], time: 99_000_000))
            #expect(first == second)
        }
    }

    @Test func aHistoryOfNothingIsScoredToo() throws {
        for choice in Choice.all {
            let found = scores(try choice.encoder(), [[], events(["a1"])])
            #expect(found.count == 24 && found.allSatisfy(\.isFinite))
            let alone = scores(try choice.encoder(), [[]])
            #expect(worstDifference(alone, found[..<12]) < 1e-5)
        }
    }

    @Test func theTimeBetweenEventsCountsWhereItHasABias() throws {
        let encoder = try Choice(kind: .autoregressive, block: .hstu).encoder { $0.features.usesTimeGap = false }
        for parameter in encoder.parameters where parameter.name.hasSuffix("time_bias") {
            parameter.value.assign((0..<parameter.count).map { Float($0) })
        }
        let items: [ItemID] = ["a1", "d1", "c1"]
        let (near, far) = (scores(encoder, [events(items)]), scores(encoder, [events(items, gap: 86_400_000)]))
        #expect(worstDifference(near, far) > 1e-3)
    }
}
