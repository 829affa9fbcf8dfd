import Catalogues
import Bytes
import Messages
import NeuralNetwork
import Testing
import UserModels

@Suite struct AutoregressiveEncoderTests {
    private let features = TinyWorld.features

    private func hidden(_ encoder: AutoregressiveEncoder, _ events: [TimelineEvent]) -> [Float] {
        let graph = Graph(recording: false, seed: 0)
        return graph.values(of: encoder.hidden(graph, EventBatch([features.indexed(events)[...]])))
    }

    @Test func laterEventsDoNotChangeEarlierOutputs() throws {
        let encoder = try TinyWorld.model().encoder
        let before = hidden(encoder, TinyWorld.timeline(["a1", "d1", "c1", "c2"]))
        let after = hidden(encoder, TinyWorld.timeline(["a1", "d1", "c1", "new"], rating: 4))
        #expect(worstDifference(before[..<48], after[..<48]) == 0)
        #expect(worstDifference(before[48...], after[48...]) > 1e-3)
        let longer = hidden(encoder, TinyWorld.timeline(["a1", "d1", "c1", "c2", "a3"]))
        #expect(worstDifference(before, longer[..<64]) < 1e-5)
    }

    @Test(arguments: ["item", "categories", "rating", "time gap"])
    func aFeatureThatIsOffChangesNothing(feature: String) throws {
        func output(_ isOn: Bool, _ events: [TimelineEvent]) throws -> [Float] {
            var random = SeededRandom(seed: 3)
            var shape = AutoregressiveEncoder.Configuration(itemCount: 12, categoryCount: 3)
            shape.width = 16
            if feature == "item" { shape.features.usesItem = isOn }
            if feature == "categories" { shape.features.usesCategories = isOn }
            if feature == "rating" { shape.features.usesRating = isOn }
            if feature == "time gap" { shape.features.usesTimeGap = isOn }
            return hidden(try AutoregressiveEncoder(configuration: shape, using: &random), events)
        }
        let first = [
            TimelineEvent(item: "a1", rating: 1, categories: ["Action"], time: 0),
            TimelineEvent(item: "a1", rating: 1, categories: ["Action"], time: 5_000),
        ]
        var second = first
        switch feature {
        case "item": second[1].item = "a2"
        case "categories": second[1].categories = ["Drama"]
        case "rating": second[1].rating = 5
        default: second[1].time = 5_000_000
        }
        let on = worstDifference(try output(true, first), try output(true, second))
        let off = worstDifference(try output(false, first), try output(false, second))
        #expect(on > 1e-3)
        #expect(off == 0)
    }

    @Test func unknownItemIsToldApartByItsCategories() throws {
        let encoder = try TinyWorld.model().encoder
        let drama = hidden(encoder, [TimelineEvent(item: "new", categories: ["Drama"], time: 0)])
        let comedy = hidden(encoder, [TimelineEvent(item: "new", categories: ["Comedy"], time: 0)])
        #expect(worstDifference(drama, comedy) > 1e-3)
        #expect(drama.allSatisfy { $0.isFinite })
    }

    @Test func lossStartsNearThatOfAGuessAndLearns() throws {
        let encoder = try TinyWorld.model().encoder
        let features = features
        // A cycle through the catalogue: the next item follows from the present one.
        let items = TinyWorld.catalogue.items.map(\.id)
        let windows = items.indices.map { start in
            features.indexed(TinyWorld.timeline((0..<9).map { items[(start + $0) % items.count] }))
        }
        let batch = NextEventBatch(windows: windows.map { $0[...] })
        let graph = Graph(recording: false, seed: 0)
        let first = graph.values(of: encoder.loss(graph, batch, targetCount: batch.targetCount))[0]
        #expect(abs(first - 2.48) < 0.6)
        let trainer = DataParallelTrainer(
            shards: 1,
            optimizer: AdamW(groups: [AdamW.Group(encoder.parameters)]),
            seed: 1
        )
        var last: Float = 0
        for _ in 0..<60 {
            last = try trainer.step(learningRate: 0.01) { graph, _ in
                encoder.loss(graph, batch, targetCount: batch.targetCount)
            }.loss
        }
        #expect(last < 0.5, "after training the loss is \(last)")
        let hidden = encoder.hidden(graph, EventBatch([windows[0][..<5]]))
        let scores = graph.values(
            of: encoder.scores(
                graph,
                lastHidden: encoder.lastHidden(graph, hidden: hidden, EventBatch([windows[0][..<5]]))
            )
        )
        #expect(Ranking.top(1, scores: scores) == [5])
    }

    @Test func wrongConfigurationIsNamed() {
        var random = SeededRandom(seed: 1)
        var shape = AutoregressiveEncoder.Configuration(itemCount: 12, categoryCount: 3)
        shape.heads = 3
        #expect {
            _ = try AutoregressiveEncoder(configuration: shape, using: &random)
        } throws: {
            "\($0)".contains("encoder.heads is 3, expected a divisor of the width 64")
        }
    }
}
