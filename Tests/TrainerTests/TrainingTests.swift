import Catalogues
import Datasets
import Foundation
import Bytes
import NeuralNetwork
import ServiceRuntime
import Synchronization
import Testing
import UserModels

@testable import Trainer

/// The parts of an encoder's training, the same as the command's own.
private func parts(
    _ world: World,
    _ settings: TrainEncoderCommand.Settings
) throws -> (configuration: AutoregressiveEncoder.Configuration, task: EncoderTask) {
    var configuration = AutoregressiveEncoder.Configuration(
        itemCount: world.dataset.catalogue.count,
        categoryCount: world.dataset.catalogue.categories.count
    )
    (configuration.width, configuration.layers, configuration.length) = (16, 1, 12)
    configuration.feedForwardWidth = 64
    configuration.dropout = settings.dropout
    var random = SeededRandom(seed: settings.options.seed)
    let encoder = try AutoregressiveEncoder(configuration: configuration, using: &random)
    let task = EncoderTask(
        encoder: encoder,
        histories: Histories(world.dataset, features: configuration.features),
        batchCount: settings.batchCount,
        seed: settings.options.seed,
        weightDecay: settings.options.weightDecay
    )
    return (configuration, task)
}

/// An encoder's training that is told to stop before a given step.
private func interrupted(
    _ world: World,
    _ name: String,
    steps: Int,
    before step: Int
) throws -> TrainingOutcome {
    let shutdown = Shutdown()
    let settings = world.encoderSettings(name, steps: steps)
    let (configuration, task) = try parts(world, settings)
    let outcome = try TrainingLoop(
        task: StoppingTask(task: task, lastStep: step - 1, shutdown: shutdown),
        options: settings.options,
        run: RunFolder(settings.options, kind: "encoder", configuration: configuration, dataset: world.dataset),
        name: "encoder"
    ).train(until: shutdown)
    #expect(outcome.isInterrupted)
    #expect(outcome.steps == step)
    return outcome
}

/// Dies right after its first validation, without a word to anyone.
private final class DyingTask: TrainingTask {
    struct Death: Error {}

    private let task: EncoderTask
    private let hasValidated = Mutex(false)

    init(_ task: EncoderTask) { self.task = task }

    var groups: [AdamW.Group] { task.groups }
    var parameters: [Parameter] { task.parameters }
    var metricName: String { task.metricName }

    func shards(ofStep step: Int, count: Int) throws -> [NextEventBatch] {
        if hasValidated.withLock({ $0 }) { throw Death() }
        return task.shards(ofStep: step, count: count)
    }
    func targetCount(_ shard: NextEventBatch) -> Int { task.targetCount(shard) }
    func loss(_ graph: Graph, _ shard: NextEventBatch, of shards: [NextEventBatch]) -> Variable? {
        task.loss(graph, shard, of: shards)
    }
    func validate(threads: Int) -> Double {
        hasValidated.withLock { $0 = true }
        return task.validate(threads: threads)
    }
}

/// Asks for the stop while a given step is being made, as Ctrl-C does.
private struct StoppingTask: TrainingTask {
    let task: EncoderTask
    let lastStep: Int
    let shutdown: Shutdown

    var groups: [AdamW.Group] { task.groups }
    var parameters: [Parameter] { task.parameters }
    var metricName: String { task.metricName }

    func shards(ofStep step: Int, count: Int) -> [NextEventBatch] {
        if step == lastStep { shutdown.request() }
        return task.shards(ofStep: step, count: count)
    }
    func targetCount(_ shard: NextEventBatch) -> Int { task.targetCount(shard) }
    func loss(_ graph: Graph, _ shard: NextEventBatch, of shards: [NextEventBatch]) -> Variable? {
        task.loss(graph, shard, of: shards)
    }
    func validate(threads: Int) -> Double { task.validate(threads: threads) }
}

@Suite("Training", .serialized)
struct TrainingTests {
    @Test func aResumedTrainingEqualsOneThatWasNotInterrupted() throws {
        let world = try World()
        defer { world.remove() }
        let whole = try TrainEncoderCommand.train(
            world.dataset,
            world.encoderSettings("whole", steps: 12),
            until: Shutdown()
        )
        #expect(!whole.isInterrupted)
        let half = try interrupted(world, "halves", steps: 12, before: 5)
        #expect(half.bestMetric == nil && half.bestStep == nil)
        let report = try half.report(metric: "validation_hr_10", dataset: world.dataset).json()
        let text = String(decoding: report, as: UTF8.self)
        #expect(text.contains(#""best_step":null"#), "nothing was validated")
        #expect(text.contains(#""validation_hr_10":null"#))
        let resumed = try TrainEncoderCommand.train(
            world.dataset,
            world.encoderSettings("halves", steps: 12, resumes: true),
            until: Shutdown()
        )
        #expect(resumed.steps == 12)
        for file in ["model.safetensors", "optimizer.safetensors"] {
            let first = try Data(contentsOf: URL(fileURLWithPath: "\(world.folder)/whole/last/\(file)"))
            let second = try Data(contentsOf: URL(fileURLWithPath: "\(world.folder)/halves/last/\(file)"))
            #expect(first == second, "\(file) differs")
        }
    }

    @Test func goingOnWithoutACheckpointBeginsTheLogAgain() throws {
        let world = try World()
        defer { world.remove() }
        _ = try world.train("run", steps: 12)
        // As after being killed before the first validation.
        let run = world.folder + "/run"
        for name in ["last", "best"] { try FileManager.default.removeItem(atPath: "\(run)/\(name)") }
        let left = #"{"seconds":3,"step":500}"# + "\n" + #"{"seconds":4,"st"#
        try Data(left.utf8).write(to: URL(fileURLWithPath: TrainingLog.path(run)))
        _ = try world.train("run", steps: 12) { $0.options.resumes = true }
        let steps = try TrainingLog.read(run).map(\.step)
        #expect(steps == steps.sorted() && steps.last == 12)
        #expect(try TrainingRecord(folder: run).steps == 12)
    }

    @Test func aPlanOutlivesADeathRightAfterIt() throws {
        let world = try World()
        defer { world.remove() }
        var settings = world.encoderSettings("run", steps: 1)
        settings.options.budget = .time(.milliseconds(500))
        let (configuration, task) = try parts(world, settings)
        let options = settings.options
        #expect(throws: DyingTask.Death.self) {
            try TrainingLoop(
                task: DyingTask(task),
                options: options,
                run: RunFolder(options, kind: "encoder", configuration: configuration, dataset: world.dataset),
                name: "encoder"
            ).train(until: Shutdown())
        }
        let last = try Checkpoint(folder: world.folder + "/run/last").training(as: TrainingState.self)
        let planned = try #require(last.totalSteps)
        #expect(planned > last.step)
        settings.options.resumes = true
        #expect(try TrainEncoderCommand.train(world.dataset, settings, until: Shutdown()).steps == planned)
    }

    @Test func resumingWithOtherSettingsIsRefusedByName() throws {
        let world = try World()
        defer { world.remove() }
        _ = try world.train("run", steps: 2) { $0.options.settings = ["batch": "16", "patience": "0"] }
        func refusal(_ change: (inout TrainEncoderCommand.Settings) -> Void) throws -> String {
            let error = #expect(throws: ProcessFailure.self) {
                try world.train("run", steps: 2) { settings in
                    settings.options.resumes = true
                    settings.options.settings = ["batch": "16", "patience": "3"]
                    change(&settings)
                }
            }
            #expect(error?.exitCode == .badInput)
            return try #require(error).description
        }
        #expect(try refusal { $0.options.seed = 10 }.contains("began with seed 9, not 10"))
        #expect(try refusal { $0.options.settings["batch"] = "8" }.contains("began with batch 16, not 8"))
        #expect(try refusal { $0.evaluationProtocol = .window }.contains("protocol leave-one-out, not window"))
        #expect(try refusal { $0.options.budget = .steps(4) }.contains("planned for 2 steps, not for 4"))
        // How long to wait for an improvement may change.
        _ = try world.train("run", steps: 2) { settings in
            settings.options.resumes = true
            settings.options.settings = ["batch": "16", "patience": "3"]
        }
    }

    @Test func aTrainingWithoutImprovementEndsWhenPatienceDoes() throws {
        let world = try World()
        defer { world.remove() }
        // A rate of nothing learns nothing, so that no validation is better than the first.
        let outcome = try world.train("run", steps: 40) { settings in
            settings.options.learningRate = 0
            settings.options.validations = 20
            settings.options.patience = 3
        }
        #expect(outcome.endedEarly && !outcome.isInterrupted)
        #expect(outcome.steps == 8 && outcome.bestStep == 2)
        let again = try world.train("run", steps: 40) { settings in
            settings.options.learningRate = 0
            settings.options.validations = 20
            settings.options.patience = 5
            settings.options.resumes = true
        }
        #expect(again.steps == 12 && again.endedEarly, "more patience goes on from there")
    }

    @Test func fromAWorldToABundleThatAnswers() throws {
        let world = try World()
        defer { world.remove() }
        _ = try TrainEncoderCommand.train(world.dataset, world.encoderSettings("encoder", steps: 30), until: Shutdown())
        _ = try TrainLanguageModelCommand.train(
            world.dataset,
            TrainLanguageModelCommand.Settings(
                options: world.options("language-model", steps: 10),
                batchCount: 16,
                vocabularySize: 400,
                width: 32,
                layers: 1
            ),
            until: Shutdown()
        )
        var settings = TrainUserLLMCommand.Settings(
            options: world.options("user-llm", steps: 45),
            encoder: world.folder + "/encoder",
            languageModel: world.folder + "/language-model",
            batchCount: 8,
            questionsPerWindow: 3
        )
        settings.adapter.latents = 4
        _ = try TrainUserLLMCommand.train(world.dataset, settings, until: Shutdown())
        let bundle = try ExportCommand.export(
            world.dataset,
            run: world.folder + "/user-llm",
            to: world.folder + "/bundle"
        )
        #expect(bundle.timelineLength == 12)
        let test = try TestQuestions(world.dataset)
        let result = try UserLLMEvaluation(bundle: bundle, test: test, threads: 2).evaluate()
        #expect(result.known.titles.count == 60)
        #expect(result.known.categoryCount == 60)
        // Ten of 48 films at random would be 0.21; the popular ones alone give more, so this asks for very little.
        #expect(result.known.titles.hitRate(at: 10) > 0.15)

        let drift = try WorldEvaluation(
            bundle: bundle,
            world: SyntheticWorld(folder: world.folder + "/data"),
            newEvents: 4
        ).evaluate(viewers: 12)
        #expect(drift.viewers == 12)
        #expect(max(drift.rightBefore, drift.rightAfter, drift.newGenreBefore, drift.seenAfter) <= 12)
        let other = try SyntheticWorld(.init(seed: 6, filmCount: 48, minimumEvents: 8, maximumEvents: 20))
        #expect(throws: ProcessFailure.self) {
            try WorldEvaluation(bundle: bundle, world: other, newEvents: 4).evaluate(viewers: 1)
        }
    }

    @Test func aFolderOfAnotherKindIsRefused() throws {
        let world = try World()
        defer { world.remove() }
        _ = try TrainEncoderCommand.train(world.dataset, world.encoderSettings("encoder", steps: 2), until: Shutdown())
        let error = #expect(throws: ProcessFailure.self) {
            _ = try RunFolder.languageModel(world.folder + "/encoder", dataset: world.dataset)
        }
        #expect(error?.description.contains("is the training of a encoder") == true)
        #expect(throws: ProcessFailure.self) {
            _ = try RunFolder.encoder(world.folder + "/nowhere", dataset: world.dataset)
        }
    }
}
