import Foundation
import NeuralNetwork
import Tensors
import TestSupport
import Testing

/// A small causal encoder over items, with everything a real one has.
private struct TinyEncoder: Module, Sendable {
    let items: Parameter
    let positions: Parameter
    let gain: Parameter
    let bias: Parameter
    let projections: [Parameter]

    init(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        items = .normal("items", [11, 8], deviation: 0.3, using: &random)
        positions = .normal("positions", [6, 8], deviation: 0.1, using: &random)
        gain = .constant("gain", [8], 1)
        bias = .zeros("bias", [8])
        projections = ["query", "key", "value", "output"].map { .glorotUniform($0, [8, 8], using: &random) }
    }

    var parameters: [Parameter] { [items, positions, gain, bias] + projections }

    func loss(_ graph: Graph, timelines: [[Int32]], total: Int) -> Variable {
        let inputs = timelines.flatMap { $0.dropLast() }
        let targets = timelines.flatMap { $0.dropFirst() }
        let embedded = graph.addRows(graph.embedding(items, inputs), graph.parameter(positions))
        let x = graph.dropout(graph.reshaped(embedded, [timelines.count, 6, 8]), probability: 0.2)
        let normal = graph.layerNorm(x, gain: gain, bias: bias)
        let attended = graph.attention(
            q: graph.linear(normal, weight: projections[0], bias: nil),
            k: graph.linear(normal, weight: projections[1], bias: nil),
            v: graph.linear(normal, weight: projections[2], bias: nil),
            heads: 2,
            keyValueHeads: 2,
            causal: true
        )
        let hidden = graph.add(x, graph.linear(attended, weight: projections[3], bias: nil))
        let loss = graph.crossEntropy(hidden, weight: graph.parameter(items), targets: targets)
        return graph.scale(loss, 1 / Float(total * 6))
    }
}

@Suite struct TrainingTests {
    /// Timelines in which each item is followed by the next one.
    private let timelines: [[Int32]] = (0..<8).map { start in (0..<7).map { Int32((start + $0) % 11) } }

    private func trainer(_ model: TinyEncoder, shards: Int) -> DataParallelTrainer {
        let optimizer = AdamW(groups: [.init(model.parameters, weightDecay: 0.01)])
        return DataParallelTrainer(shards: shards, optimizer: optimizer, seed: 42)
    }

    private func train(_ model: TinyEncoder, _ trainer: DataParallelTrainer, steps: Int) throws -> [Float] {
        let (timelines, shards) = (timelines, trainer.shards)
        return try (0..<steps).map { _ in
            try trainer.step(learningRate: 0.02) { graph, shard in
                let size = timelines.count / shards
                let part = Array(timelines[shard * size..<(shard + 1) * size])
                return model.loss(graph, timelines: part, total: timelines.count)
            }.loss
        }
    }

    @Test(arguments: [1, 2, 4])
    func equalSeedsAndShardsGiveEqualBits(shards: Int) throws {
        let models = [TinyEncoder(seed: 1), TinyEncoder(seed: 1)]
        let losses = try models.map { try train($0, trainer($0, shards: shards), steps: 10) }
        #expect(losses[0] == losses[1])
        for (a, b) in zip(models[0].parameters, models[1].parameters) { #expect(a.value.isBitIdentical(to: b.value)) }
        #expect(losses[0][9] < losses[0][0])
    }

    @Test func learnsWhatFollows() throws {
        let model = TinyEncoder(seed: 1)
        let losses = try train(model, trainer(model, shards: 2), steps: 200)
        print("learnsWhatFollows: loss \(losses[0]) -> \(losses[199])")
        #expect(losses[199] < 0.5)
    }

    @Test func resumesWithTheSameBits() throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "training-\(UUID().uuidString)").path
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let model = TinyEncoder(seed: 1)
        let first = trainer(model, shards: 2)
        _ = try train(model, first, steps: 5)
        let random = SeededRandom(seed: 77)
        try Checkpoint.write(
            to: folder,
            parameters: model.parameters,
            configuration: ["width": 8],
            training: random,
            optimizer: first.optimizer
        )
        let through = try train(model, first, steps: 5)

        let resumed = TinyEncoder(seed: 999)
        let second = trainer(resumed, shards: 2)
        let checkpoint = try Checkpoint(folder: folder)
        try checkpoint.load(into: resumed.parameters)
        try checkpoint.load(into: second.optimizer)
        #expect(try checkpoint.training(as: SeededRandom.self) == random)
        #expect(try checkpoint.configuration(as: [String: Int].self) == ["width": 8])
        #expect(try train(resumed, second, steps: 5) == through)
        for (a, b) in zip(model.parameters, resumed.parameters) { #expect(a.value.isBitIdentical(to: b.value)) }
    }

    @Test func frozenParametersKeepTheirBits() throws {
        let model = TinyEncoder(seed: 1)
        for parameter in [model.items, model.gain, model.projections[1]] { parameter.isTrainable = false }
        let before = model.parameters.map { $0.value.copy() }
        _ = try train(model, trainer(model, shards: 2), steps: 3)
        for (parameter, old) in zip(model.parameters, before) {
            #expect(parameter.value.isBitIdentical(to: old) != parameter.isTrainable, "\(parameter.name)")
        }
    }

    @Test func aShardThatThrowsChangesNothing() throws {
        struct Broken: Error {}
        let model = TinyEncoder(seed: 1)
        let before = model.parameters.map { $0.value.copy() }
        let trainer = trainer(model, shards: 2)
        let timelines = timelines
        #expect(throws: Broken.self) {
            try trainer.step(learningRate: 0.02) { graph, shard in
                guard shard == 0 else { throw Broken() }
                return model.loss(graph, timelines: timelines, total: timelines.count)
            }
        }
        for (parameter, old) in zip(model.parameters, before) { #expect(parameter.value.isBitIdentical(to: old)) }
        #expect(trainer.optimizer.stepCount == 0)
    }
}
