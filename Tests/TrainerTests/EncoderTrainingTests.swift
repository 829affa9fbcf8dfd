import Datasets
import Foundation
import Bytes
import NeuralNetwork
import ServiceRuntime
import Testing
import UserModels

@testable import Trainer

/// Asks for the stop once a training has shown a given number of steps' work, as Ctrl-C does.
private struct Stopping<Task: TrainingTask>: TrainingTask {
    let task: Task
    let step: Int
    let shutdown: Shutdown

    var groups: [AdamW.Group] { task.groups }
    var parameters: [Parameter] { task.parameters }
    var metricName: String { task.metricName }

    func shards(ofStep step: Int, count: Int) throws -> [Task.Shard] {
        if step == self.step { shutdown.request() }
        return try task.shards(ofStep: step, count: count)
    }
    func targetCount(_ shard: Task.Shard) -> Int { task.targetCount(shard) }
    func loss(_ graph: Graph, _ shard: Task.Shard, of shards: [Task.Shard]) -> Variable? {
        task.loss(graph, shard, of: shards)
    }
    func validate(threads: Int) throws -> Double { try task.validate(threads: threads) }
}

/// Trainings of all types of encoders, on a small invented world.
@Suite("Encoder training", .serialized)
struct EncoderTrainingTests {
    private func settings(
        _ world: World,
        _ name: String,
        _ kind: EncoderConfiguration.Kind,
        _ change: (inout EncoderSettings) -> Void = { _ in }
    ) -> TrainEncoderCommand.Settings {
        var settings = world.encoderSettings(name, steps: 12)
        settings.encoder.kind = kind
        settings.encoder.loss = .sampled
        settings.encoder.negativeCount = 20
        change(&settings.encoder)
        settings.options.averageDecay = 0.9
        return settings
    }

    private func file(_ world: World, _ path: String) throws -> Data {
        try Data(contentsOf: URL(fileURLWithPath: "\(world.folder)/\(path)"))
    }

    @Test(arguments: EncoderConfiguration.Kind.allCases)
    func resumesBitForBitWithItsAverageAndItsNegatives(kind: EncoderConfiguration.Kind) throws {
        let world = try World()
        defer { world.remove() }
        let block = kind == .autoregressive ? EncoderConfiguration.Block.hstu : .attention
        _ = try TrainEncoderCommand.train(
            world.dataset,
            settings(world, "whole", kind) { $0.block = block },
            until: Shutdown()
        )
        var resumed = settings(world, "halves", kind) { $0.block = block }
        // The same as the command's own, but told to stop in the middle.
        let shutdown = Shutdown()
        var configuration = resumed.encoder.configuration(
            world.dataset.catalogue,
            features: resumed.features,
            width: resumed.width
        )
        (configuration.layers, configuration.length, configuration.dropout) = (1, 12, resumed.dropout)
        var random = SeededRandom(seed: resumed.options.seed)
        let task = EncoderTask(
            encoder: try configuration.makeEncoder(catalogue: world.dataset.catalogue, using: &random),
            histories: Histories(world.dataset, features: configuration.features),
            batchCount: resumed.batchCount,
            seed: resumed.options.seed,
            weightDecay: resumed.options.weightDecay
        )
        let outcome = try TrainingLoop(
            task: Stopping(task: task, step: 7, shutdown: shutdown),
            options: resumed.options,
            run: RunFolder(resumed.options, kind: "encoder", configuration: configuration, dataset: world.dataset),
            name: "encoder"
        ).train(until: shutdown)
        #expect(outcome.isInterrupted && outcome.steps == 8)
        resumed.options.resumes = true
        #expect(try TrainEncoderCommand.train(world.dataset, resumed, until: Shutdown()).steps == 12)
        for name in ["model", "optimizer", "average"] {
            let first = try file(world, "whole/last/\(name).safetensors")
            #expect(try first == file(world, "halves/last/\(name).safetensors"), "\(name) differs")
        }
        #expect(try file(world, "whole/best/model.safetensors") == file(world, "halves/best/model.safetensors"))
        #expect(try file(world, "whole/best/model.safetensors") != file(world, "whole/last/model.safetensors"))
    }

    @Test func theBestCheckpointIsTheAverage() throws {
        let world = try World()
        defer { world.remove() }
        var settings = settings(world, "run", .autoregressive)
        settings.options.validations = 1
        let outcome = try TrainEncoderCommand.train(world.dataset, settings, until: Shutdown())
        #expect(try file(world, "run/best/model.safetensors") == file(world, "run/last/average.safetensors"))
        let histories = Histories(world.dataset, features: EventFeatures.Configuration())
        let ranks = EncoderEvaluation(
            encoder: try RunFolder.encoder(world.folder + "/run", dataset: world.dataset),
            histories: histories,
            threads: 1
        ).ranks(.validation)
        #expect(ranks.filtered.hitRate(at: 10) == outcome.bestMetric)
    }

    @Test(arguments: EncoderConfiguration.Kind.allCases)
    func theTypeIsInItsCheckpointAndIsEvaluated(kind: EncoderConfiguration.Kind) throws {
        let world = try World()
        defer { world.remove() }
        var settings = settings(world, "run", kind) { ($0.loss, $0.negativeCount) = (nil, nil) }
        settings.options.budget = .steps(40)
        _ = try TrainEncoderCommand.train(world.dataset, settings, until: Shutdown())
        let encoder = try RunFolder.encoder(world.folder + "/run", dataset: world.dataset)
        #expect(encoder.configuration.kind == kind)
        #expect(encoder.configuration.loss.kind == (kind == .dual ? .sampled : .full))
        let report = try EvaluateEncoderCommand.evaluate(
            world.folder + "/run",
            world.dataset,
            split: .test,
            by: nil,
            threads: 2
        )
        let text = String(decoding: try report.json(), as: UTF8.self)
        #expect(text.contains("\"hr_10\""))
        guard kind != .autoregressive else { return }
        let error = #expect(throws: ProcessFailure.self) {
            _ = try RunFolder.autoregressiveEncoder(world.folder + "/run", dataset: world.dataset)
        }
        #expect(error?.description.contains("encoder.type is \(kind.rawValue), expected autoregressive") == true)
    }

    @Test func goingOnWithAnotherShapeOrTypeNamesTheValue() throws {
        let world = try World()
        defer { world.remove() }
        _ = try TrainEncoderCommand.train(world.dataset, settings(world, "run", .autoregressive), until: Shutdown())
        func refusal(_ change: (inout TrainEncoderCommand.Settings) -> Void) throws -> String {
            var settings = settings(world, "run", .autoregressive)
            settings.options.resumes = true
            change(&settings)
            let changed = settings
            return try #require(
                #expect(throws: ProcessFailure.self) {
                    try TrainEncoderCommand.train(world.dataset, changed, until: Shutdown())
                }
            ).description
        }
        #expect(try refusal { $0.length = 9 }.contains("config.json: length is 12, this training has 9"))
        #expect(
            try refusal { $0.encoder.kind = .masked }
                .contains("config.json: type is autoregressive, this training has masked")
        )
        #expect(
            try refusal { $0.encoder.negativeCount = 21 }
                .contains("config.json: loss.negativeCount is 20, this training has 21")
        )
    }

    @Test func theItemAloneIsReadWithoutAProductAndLearntAlone() throws {
        let world = try World()
        defer { world.remove() }
        let shape = EncoderSettings().configuration(world.dataset.catalogue, features: ["item"], width: 16)
        #expect(shape.fusion == .add && shape.categoryLossWeight == 0)
        let all = EncoderSettings().configuration(world.dataset.catalogue, features: ["item", "categories"], width: 16)
        #expect(all.fusion == .concatenate && all.categoryLossWeight == 0.1)
    }
}
