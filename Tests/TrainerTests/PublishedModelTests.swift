import Datasets
import Foundation
import Messages
import ModelFiles
import NeuralNetwork
import ServiceRuntime
import Tensors
import Testing
import UserModels

@testable import Trainer

@Suite("A User-LLM on a language model of somebody else")
struct PublishedModelTests {
    /// A world with a trained encoder, and settings for a training on a published model.
    private func withEncoder(_ body: (World, TrainUserLLMCommand.Settings) throws -> Void) throws {
        let world = try World()
        defer { world.remove() }
        _ = try world.train("encoder", steps: 2)
        let model = world.folder + "/published.gguf"
        try FileManager.default.copyItem(atPath: publishedGGUF("qwen2-q4_0"), toPath: model)
        var settings = TrainUserLLMCommand.Settings(
            options: world.options("user-llm", steps: 4),
            encoder: world.folder + "/encoder",
            languageModel: model
        )
        settings.adapter.latents = 4
        settings.adapter.heads = 2
        (settings.batchCount, settings.validationUsers) = (4, 16)
        try body(world, settings)
    }

    private func weights(_ model: LanguageModel) -> [String: [UInt32]] {
        Dictionary(uniqueKeysWithValues: model.parameters.map { ($0.name, $0.value.values.map(\.bitPattern)) })
    }

    private func train(_ world: World, _ settings: TrainUserLLMCommand.Settings) throws -> TrainingOutcome {
        try TrainUserLLMCommand.train(world.dataset, settings, until: Shutdown())
    }

    @Test(arguments: [UserLanguageModel.Strategy.proj, .enc])
    func aFrozenModelStaysInItsFile(strategy: UserLanguageModel.Strategy) throws {
        try withEncoder { world, settings in
            var settings = settings
            settings.strategy = strategy
            let outcome = try train(world, settings)
            #expect(outcome.steps == 4 && outcome.bestMetric != nil)
            let run = world.folder + "/user-llm"
            let saved = try SafeTensors(path: run + "/last/model.safetensors").names
            #expect(saved.contains { $0.hasPrefix("perceiver.") })
            #expect(!saved.contains { $0.hasPrefix("model.layers.") })
            let bundle = try ExportCommand.export(world.dataset, run: run, to: world.folder + "/bundle")
            #expect(bundle.languageModel.path == settings.languageModel && bundle.format.isChat)
            let shape = bundle.adapter.configuration
            #expect(shape.contextFrom == .lastPromptToken)
            #expect(shape.crossAttentionFrom == bundle.languageModel.configuration.layers * 2 / 3)
            #expect(bundle.adapter.gates.allSatisfy { $0.value[0] != 0 })
            let published = try LanguageModel(LanguageModelSource.open(settings.languageModel))
            #expect(try weights(bundle.makeTrainableModel().languageModel) == weights(published))
            try requireTextAsPublished(bundle, world, settings)
            let copied = try ExportCommand.export(
                world.dataset,
                run: run,
                isCopied: true,
                to: world.folder + "/copied"
            )
            #expect(copied.languageModel.path.hasPrefix(world.folder + "/copied/") && copied.version == bundle.version)
        }
    }

    /// Free text is that of the published model, whoever asks, while titles depend on the user.
    private func requireTextAsPublished(
        _ bundle: ModelBundle,
        _ world: World,
        _ settings: TrainUserLLMCommand.Settings
    ) throws {
        let untrained = try BundleCommand.write(
            world.dataset,
            BundleCommand.Settings(
                encoder: settings.encoder,
                languageModel: settings.languageModel,
                adapter: settings.adapter
            ),
            to: world.folder + "/untrained"
        )
        let encoded = try bundle.makeEncodingEngine(threads: 1).encode([world.dataset.timeline(user: 0, 0..<5)])
        let (own, plain) = (
            try bundle.makeAnsweringEngine(configuration: .evaluation(threads: 1)),
            try untrained.makeAnsweringEngine(configuration: .evaluation(threads: 1))
        )
        var request = AnswerRequest(text: "Next?", system: "Be brief.", form: .text)
        request.maximumTokens = 8
        let wanted = try plain.answer(request, context: nil)
        #expect(wanted.answerTokens > 0)
        #expect(try own.answer(request, context: UserContext(encoded[0])).text == wanted.text)
        #expect(try own.answer(request, context: nil).text == wanted.text)
        let titles = AnswerRequest(text: "Next?", form: .title)
        let scores = try own.answer(titles, context: UserContext(encoded[0])).items.map(\.score)
        #expect(try plain.answer(titles, context: nil).items.map(\.score) != scores)
    }

    @Test(arguments: [UserLanguageModel.Strategy.full, .lora])
    func aTunedModelIsWrittenWithItsTokenizer(strategy: UserLanguageModel.Strategy) throws {
        try withEncoder { world, settings in
            var settings = settings
            settings.strategy = strategy
            _ = try train(world, settings)
            let run = world.folder + "/user-llm"
            let saved = try SafeTensors(path: run + "/last/model.safetensors").names
            // What low-rank updates are added to is in the published files.
            #expect(saved.contains("model.embed_tokens.weight") == (strategy == .full))
            #expect(saved.contains { $0.hasSuffix("self_attn.q_proj.lora_B.weight") } == (strategy == .lora))
            let bundle = try ExportCommand.export(world.dataset, run: run, to: world.folder + "/bundle")
            #expect(bundle.languageModel.path.hasPrefix(world.folder + "/bundle/") && bundle.format.isChat)
            let published = try LanguageModel(LanguageModelSource.open(settings.languageModel))
            let (found, former) = (try weights(bundle.makeTrainableModel().languageModel), weights(published))
            #expect(found.keys == former.keys && found != former)
            let table = "model.embed_tokens.weight"
            #expect((found[table] == former[table]) == (strategy == .lora))
            let answerer = try bundle.makeAnsweringEngine(configuration: .evaluation(threads: 1))
            #expect(try answerer.answer(AnswerRequest(text: "Next?", form: .title), context: nil).items.count == 10)
        }
    }

    /// To the bit, although the states that were kept are computed anew, beside other texts.
    @Test func anInterruptedTrainingGoesOnAsIfNothingHadHappened() throws {
        try withEncoder { world, settings in
            var (whole, parts) = (settings, settings)
            for name in ["whole", "parts"] {
                var options = world.options(name, steps: 60)
                options.validations = 30
                if name == "whole" { whole.options = options } else { parts.options = options }
            }
            #expect(try train(world, whole).steps == 60)
            let stop = Shutdown()
            let checkpoint = world.folder + "/parts/last/training.json"
            let watcher = Thread {
                while !FileManager.default.fileExists(atPath: checkpoint) { usleep(500) }
                stop.request()
            }
            watcher.start()
            let first = try TrainUserLLMCommand.train(world.dataset, parts, until: stop)
            #expect(first.isInterrupted && (1..<60).contains(first.steps))
            parts.options.resumes = true
            #expect(try train(world, parts).steps == 60)
            let (wanted, found) = (
                try SafeTensors(path: world.folder + "/whole/last/model.safetensors"),
                try SafeTensors(path: world.folder + "/parts/last/model.safetensors")
            )
            #expect(found.names == wanted.names)
            for name in wanted.names {
                #expect(try found.weight(name).isBitIdentical(to: wanted.weight(name)), "\(name)")
            }
        }
    }

    @Test func whatDoesNotFitIsNamed() throws {
        try withEncoder { world, settings in
            func message(_ change: (inout TrainUserLLMCommand.Settings) throws -> Void) throws -> String {
                var changed = settings
                try change(&changed)
                do {
                    _ = try train(world, changed)
                    return "no error"
                } catch {
                    return "\(error)"
                }
            }
            #expect(try message { $0.languageModel = "/nowhere/a.gguf" }.contains("/nowhere/a.gguf: does not exist"))
            #expect(try message { $0.languageModel = publishedGGUF("qwen3-q4_1") }.contains("model_type is qwen3"))
            #expect(try message { $0.chatTemplate = "mine" }.contains("there is no chat template \"mine\""))
            #expect(
                try message {
                    $0.strategy = .lora
                    $0.lowRank.rank = 0
                }.contains("rank is 0")
            )
            #expect(try message { $0.adapter.first = 99 }.contains("adapter.crossAttentionFrom is 99"))
            let softPrompt = try message {
                $0.adapter.kind = .softPrompt
                $0.adapter.reach = .lastPromptToken
            }
            #expect(softPrompt.contains("adapter.contextFrom is last-prompt-token"))
            #expect(!FileManager.default.fileExists(atPath: world.folder + "/user-llm"))
            // A file that changed under a trained adapter is noticed before anything is written.
            _ = try train(world, settings)
            let other = try Data(contentsOf: URL(filePath: publishedGGUF("llama-mixed")))
            try other.write(to: URL(filePath: settings.languageModel))
            var refusal = "no error"
            do {
                _ = try ExportCommand.export(
                    world.dataset,
                    run: world.folder + "/user-llm",
                    to: world.folder + "/bundle"
                )
            } catch {
                refusal = "\(error)"
            }
            #expect(refusal.contains("published.gguf is not the one that was trained on"))
            #expect(!FileManager.default.fileExists(atPath: world.folder + "/bundle"))
        }
    }
}
