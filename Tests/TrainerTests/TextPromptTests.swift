import Bytes
import Datasets
import Foundation
import ModelFiles
import NeuralNetwork
import ServiceRuntime
import Tensors
import Testing
import UserModels

@testable import Trainer

/// Asks for the stop while a given step is being made, as Ctrl-C does.
private struct StoppingTask: TrainingTask {
    let task: TextPromptTask
    let lastStep: Int
    let shutdown: Shutdown

    var groups: [AdamW.Group] { task.groups }
    var parameters: [Parameter] { task.parameters }
    var metricName: String { task.metricName }

    func shards(ofStep step: Int, count: Int) throws -> [[TrainingText]] {
        if step == lastStep { shutdown.request() }
        return try task.shards(ofStep: step, count: count)
    }
    func targetCount(_ shard: [TrainingText]) -> Int { task.targetCount(shard) }
    func loss(_ graph: Graph, _ shard: [TrainingText], of shards: [[TrainingText]]) -> Variable? {
        task.loss(graph, shard, of: shards)
    }
    func validate(threads: Int) throws -> Double { try task.validate(threads: threads) }
}

@Suite("Text prompt", .serialized)
struct TextPromptTests {
    /// A small language model of our own, in the folder `language-model` of a world.
    private func languageModel(_ world: World, steps: Int = 2) throws -> String {
        let settings = TrainLanguageModelCommand.Settings(
            options: world.options("language-model", steps: steps),
            batchCount: 8,
            vocabularySize: 500,
            width: 32,
            layers: 2
        )
        _ = try TrainLanguageModelCommand.train(world.dataset, settings, until: Shutdown())
        return settings.options.folder
    }

    private func settings(
        _ world: World,
        _ name: String,
        steps: Int,
        strategy: TextPromptStrategy = .lora,
        resumes: Bool = false
    ) -> TrainTextPromptCommand.Settings {
        TrainTextPromptCommand.Settings(
            options: world.options(name, steps: steps, resumes: resumes),
            languageModel: world.folder + "/language-model",
            strategy: strategy,
            context: 256,
            events: 8,
            batchCount: 5,
            validationUsers: 8
        )
    }

    private func message(_ body: () throws -> Void) -> String {
        do {
            try body()
            return "no error"
        } catch {
            return "\(error)"
        }
    }

    private func weights(_ folder: String) throws -> [String: [UInt32]] {
        let file = try SafeTensors(path: folder + "/best/model.safetensors")
        return Dictionary(
            uniqueKeysWithValues: try file.names.map { ($0, try file.tensor($0).values.map(\.bitPattern)) }
        )
    }

    @Test(arguments: TextPromptStrategy.allCases)
    func aTrainingLearnsAndWhatIsFrozenKeepsItsBits(strategy: TextPromptStrategy) throws {
        let world = try World()
        defer { world.remove() }
        let base = try languageModel(world)
        var settings = settings(world, "text", steps: 60, strategy: strategy)
        settings.options.learningRate = strategy == .lora ? 1e-2 : 3e-2
        settings.options.validations = 1
        let outcome = try TrainTextPromptCommand.train(world.dataset, settings, until: Shutdown())
        #expect(outcome.steps == 60)
        // Every event of a text is a target: eight titles or nearly, and a category, for each of five texts a step.
        #expect(outcome.targets > 60 * 5 * 6 && outcome.targets <= 60 * 5 * 9)
        let losses = try TrainingLog.read(settings.options.folder).compactMap(\.loss)
        #expect(try #require(losses.last) < 0.9 * losses[0])
        let (before, after) = (try weights(base), try weights(settings.options.folder))
        #expect(before.count == 2 * 9 + 2)
        if strategy == .lora {
            #expect(after.count == before.count + 2 * 7 * 2)
            #expect(before.allSatisfy { after[$0.key] == $0.value })
        } else {
            #expect(Set(after.keys) == Set(before.keys))
            #expect(before.allSatisfy { after[$0.key] != $0.value })
        }
    }

    @Test func whatLoRALearntIsWrittenForPEFT() throws {
        let world = try World()
        defer { world.remove() }
        _ = try languageModel(world)
        let settings = settings(world, "text", steps: 4)
        _ = try TrainTextPromptCommand.train(world.dataset, settings, until: Shutdown())
        let (prompt, configuration) = try RunFolder.textPrompt(settings.options.folder, dataset: world.dataset)
        let adapter = try LowRankAdapter(
            contentsOf: settings.options.folder + "/adapter",
            base: prompt.model.configuration
        )
        #expect(adapter.configuration == configuration.lowRank)
        let own = try #require(prompt.model.lowRank)
        for (first, second) in zip(adapter.parameters, own.parameters) {
            #expect(first.name == second.name && first.value.isBitIdentical(to: second.value))
        }
        #expect(own.parameters.contains { $0.name.contains("lora_B") && $0.value.sumOfSquares > 0 })
    }

    @Test func aResumedTrainingEqualsOneThatWasNotInterrupted() throws {
        let world = try World()
        defer { world.remove() }
        _ = try languageModel(world)
        let whole = settings(world, "whole", steps: 8)
        _ = try TrainTextPromptCommand.train(world.dataset, whole, until: Shutdown())
        // The same parts as the command's, stopped in the third step.
        let halves = settings(world, "halves", steps: 8)
        let start = try StartingLanguageModel(halves.languageModel, chatTemplate: nil, dataset: world.dataset)
        var random = SeededRandom(seed: halves.options.seed)
        let adapter = try LowRankAdapter(
            configuration: halves.lowRank,
            base: start.model.configuration,
            using: &random
        )
        let prompt = try TextPromptModel(
            model: start.model.adding(adapter),
            format: start.format,
            dataset: world.dataset,
            context: halves.context,
            events: halves.events
        )
        let configuration = TextPromptConfiguration(
            languageModel: start.model.configuration,
            strategy: .lora,
            lowRank: halves.lowRank,
            context: halves.context,
            events: halves.events
        )
        let task = TextPromptTask(
            prompt: prompt,
            histories: Histories(world.dataset, features: EventFeatures.Configuration(), validationUsers: 8),
            strategy: .lora,
            parameters: configuration.saved(prompt.model),
            batchCount: halves.batchCount,
            seed: halves.options.seed,
            weightDecay: halves.options.weightDecay
        )
        let shutdown = Shutdown()
        let stopped = try TrainingLoop(
            task: StoppingTask(task: task, lastStep: 2, shutdown: shutdown),
            options: halves.options,
            run: RunFolder(halves.options, kind: "text-prompt", configuration: configuration, dataset: world.dataset),
            name: "text-prompt"
        ).train(until: shutdown)
        #expect(stopped.isInterrupted && stopped.steps == 3)
        let resumed = try TrainTextPromptCommand.train(
            world.dataset,
            settings(world, "halves", steps: 8, resumes: true),
            until: Shutdown()
        )
        #expect(resumed.steps == 8)
        for file in ["model.safetensors", "optimizer.safetensors"] {
            let first = try Data(contentsOf: URL(fileURLWithPath: "\(world.folder)/whole/last/\(file)"))
            let second = try Data(contentsOf: URL(fileURLWithPath: "\(world.folder)/halves/last/\(file)"))
            #expect(first == second, "\(file) differs")
        }
    }

    @Test func whatWasLearntIsAnswered() throws {
        // Items follow one another in one order for everybody, and nobody has had all of them.
        let dataset = try World.dataset(eventCounts: (0..<24).map { 12 + $0 % 12 }, items: 30)
        let world = try World()
        defer { world.remove() }
        let languageSettings = TrainLanguageModelCommand.Settings(
            options: world.options("language-model", steps: 2),
            vocabularySize: 400,
            width: 32,
            layers: 2
        )
        _ = try TrainLanguageModelCommand.train(dataset, languageSettings, until: Shutdown())
        var settings = settings(world, "text", steps: 1_200, strategy: .full)
        settings.options.learningRate = 1e-2
        _ = try TrainTextPromptCommand.train(dataset, settings, until: Shutdown())
        let report = try EvaluateTextPromptCommand.evaluate(settings.options.folder, dataset, users: nil, threads: 2)
        let json = try report.json()
        let result = try #require(JSONSerialization.jsonObject(with: json) as? [String: Any])
        func number(_ key: String) throws -> Double { try #require(result[key] as? Double, "\(key)") }

        #expect(result["users"] as? Int == 24)
        #expect(result["strategy"] as? String == "full")
        #expect(result["seed"] as? Int == 9)
        // The most popular item is right for a sixth of them, and a small model takes some of the 30 for others: how many
        // depends on rounding, and so on the processor.
        #expect(try number("recall_1_seen_unfiltered") > 0.45)
        #expect(try number("recall_1_seen_unfiltered_low") > 0.25)
        #expect(try number("recall_1_without_user") < 0.4)
        #expect(try number("prompt_events") <= 8)
        #expect(try number("prompt_tokens") > 50)
        #expect(try number("milliseconds_per_question") > 0)
        #expect(try number("cached_tokens_of_further_question") > 0)
        for suffix in ["", "_seen_unfiltered", "_without_user", "_most_popular"] {
            for cutoff in [1, 5, 10] {
                let value = try number("recall_\(cutoff)\(suffix)")
                #expect(try number("recall_\(cutoff)\(suffix)_low") <= value)
                #expect(try number("recall_\(cutoff)\(suffix)_high") >= value)
            }
        }
        let examples = try #require(result["examples"] as? [[String: Any]])
        #expect(examples.map { $0["user"] as? String } == (0..<10).map { dataset.users[$0 * 24 / 10].text })
        for example in examples {
            let answers = try #require(example["answers"] as? [String: [[String: String]]])
            #expect(answers.keys.sorted() == ["text_prompt"] && answers["text_prompt"]?.count == 5)
        }
        let kept = try Data(
            contentsOf: URL(filePath: settings.options.folder + "/evaluation-test-leave-one-out.json")
        )
        #expect(kept == json + [0x0A])
        // The same questions to the model as it was before.
        let start = try StartingLanguageModel(settings.languageModel, chatTemplate: nil, dataset: dataset)
        let zero = try TextPromptModel(
            model: start.model,
            format: start.format,
            dataset: dataset,
            context: 256,
            events: 8
        )
        let untrained = try EvaluateTextPromptCommand.report(
            zero,
            strategy: "zero-shot",
            seed: nil,
            dataset,
            users: 12,
            threads: 2
        )
        let before = try #require(JSONSerialization.jsonObject(with: untrained.json()) as? [String: Any])
        #expect(before["users"] as? Int == 12)
        #expect(before["seed"] is NSNull)
        // Ten users are shown, though not all of them are among the twelve.
        let users = try #require(before["examples"] as? [[String: Any]]).map { $0["user"] as? String }
        #expect(users == examples.map { $0["user"] as? String })
        #expect(try #require(before["recall_1_seen_unfiltered"] as? Double) < 0.5)
    }

    @Test func aContextThatFitsNoEventOrNoModelIsNamed() throws {
        let world = try World()
        defer { world.remove() }
        _ = try languageModel(world)
        func training(_ context: Int) -> String {
            var settings = settings(world, "text", steps: 1)
            settings.context = context
            return message { _ = try TrainTextPromptCommand.train(world.dataset, settings, until: Shutdown()) }
        }
        let short = training(20)
        #expect(short.contains("--context is 20, expected at least"), "\(short)")
        #expect(short.contains("and the event \""), "\(short)")
        let long = training(257)
        #expect(long.contains("--context is 257, expected at most the language model's 256"), "\(long)")
        #expect(!FileManager.default.fileExists(atPath: world.folder + "/text"))
    }

    @Test func aLanguageModelWithoutTokenizerIsNamed() throws {
        let world = try World()
        defer { world.remove() }
        var settings = settings(world, "text", steps: 1)
        let tests = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        settings.languageModel = tests.appending(path: "Fixtures/LanguageModels/tiny/llama-tied-1-kv-head-f32").path
        let found = message { _ = try TrainTextPromptCommand.train(world.dataset, settings, until: Shutdown()) }
        #expect(found.contains("has no tokenizer that is read here"), "\(found)")
    }

    @Test func aRunOfAnotherKindOrOtherSettingsIsRefused() throws {
        let world = try World()
        defer { world.remove() }
        let base = try languageModel(world)
        let other = message { _ = try RunFolder.textPrompt(base, dataset: world.dataset) }
        #expect(other.contains("is the training of a language-model, expected a text-prompt"), "\(other)")
        var settings = settings(world, "text", steps: 2)
        settings.options.settings = ["context": "256"]
        _ = try TrainTextPromptCommand.train(world.dataset, settings, until: Shutdown())
        settings.options.settings = ["context": "128"]
        settings.options.resumes = true
        let resumed = message { _ = try TrainTextPromptCommand.train(world.dataset, settings, until: Shutdown()) }
        #expect(resumed.contains("began with context 256, not 128"), "\(resumed)")
    }
}
