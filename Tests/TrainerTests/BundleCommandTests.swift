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

@Suite("Bundles with a language model of somebody else")
struct BundleCommandTests {
    /// A world with a trained encoder, and a folder `model` as somebody would publish it.
    private func withModel(_ body: (World, BundleCommand.Settings) throws -> Void) throws {
        let world = try World()
        defer { world.remove() }
        _ = try world.train("encoder", steps: 2)
        let model = try world.publishedModel(layers: 3)
        var settings = BundleCommand.Settings(encoder: world.folder + "/encoder", languageModel: model)
        (settings.adapter.latents, settings.adapter.first) = (4, 1)
        (settings.adapter.heads, settings.adapter.innerWidth) = (2, 16)
        try body(world, settings)
    }

    @Test(arguments: [false, true])
    func aBundleAnswersWithTheModelAlone(isCopied: Bool) throws {
        try withModel { world, settings in
            var settings = settings
            settings.isCopied = isCopied
            let bundle = try BundleCommand.write(world.dataset, settings, to: world.folder + "/bundle")
            #expect(bundle.adapter.configuration.crossAttentionBlocks == [1, 2])
            #expect(bundle.adapter.gates.allSatisfy { $0.value.values == [0] })
            let place = isCopied ? "bundle/language-model" : "model"
            #expect(bundle.languageModel.path == "\(world.folder)/\(place)")
            let answerer = try bundle.makeAnsweringEngine(configuration: .evaluation(threads: 1))
            let request = AnswerRequest(text: UserTask.nextTitle.trainingPhrasings[0], form: .title)
            let context = try bundle.makeEncodingEngine(threads: 1).encode([world.dataset.timeline(user: 0, 0..<5)])
            let known = try answerer.answer(request, context: UserContext(context[0]))
            #expect(known.items.count == 10)
            #expect(try answerer.answer(request, context: nil).items == known.items)
        }
    }

    @Test(arguments: [false, true])
    func aGGUFFileIsABundlesModel(isCopied: Bool) throws {
        try withModel { world, settings in
            var settings = settings
            (settings.languageModel, settings.isCopied) = (publishedGGUF("qwen2-q4_0"), isCopied)
            let bundle = try BundleCommand.write(world.dataset, settings, to: world.folder + "/bundle")
            #expect(bundle.format.isChat && bundle.languageModel.path.hasSuffix(".gguf"))
            #expect(bundle.languageModel.path.hasPrefix(world.folder) == isCopied)
            let answerer = try bundle.makeAnsweringEngine(configuration: .evaluation(threads: 1))
            let context = try bundle.makeEncodingEngine(threads: 1).encode([world.dataset.timeline(user: 0, 0..<5)])
            var request = AnswerRequest(text: "Next?", system: "Be brief.", form: .text)
            request.maximumTokens = 8
            let text = try answerer.answer(request, context: UserContext(context[0]))
            let alone = try answerer.answer(request, context: nil)
            #expect(text.answerTokens > 0 && text.text == alone.text)
            let title = AnswerRequest(text: "Next?", form: .title)
            #expect(try answerer.answer(title, context: UserContext(context[0])).items.count == 10)
        }
    }

    @Test func whatDoesNotFitIsNamed() throws {
        try withModel { world, settings in
            func message(_ change: (inout BundleCommand.Settings) -> Void) -> String {
                var changed = settings
                change(&changed)
                do {
                    _ = try BundleCommand.write(world.dataset, changed, to: world.folder + "/bundle")
                    return "no error"
                } catch {
                    return "\(error)"
                }
            }
            #expect(message { $0.languageModel = "/nowhere/a.gguf" }.contains("/nowhere/a.gguf: does not exist"))
            #expect(message { $0.adapter.heads = 3 }.contains("adapter.crossAttentionHeads is 3, expected a divisor"))
            #expect(message { $0.adapter.first = 3 }.contains("adapter.crossAttentionFrom is 3"))
            #expect(message { $0.chatTemplate = "mine" }.contains("there is no chat template \"mine\""))
            #expect(!FileManager.default.fileExists(atPath: world.folder + "/bundle"))
            #expect(message { _ in } == "no error")
        }
    }
}
