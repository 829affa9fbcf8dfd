import Bytes
import Catalogues
import Foundation
import ModelFiles
import NeuralNetwork
import Testing
import Tokenization

@testable import UserModels

/// Encoders, adapters and language models that were not made for each other.
@Suite struct MismatchedModelTests {
    private func withFolder(_ body: (_ folder: String) throws -> Void) throws {
        let parent = FileManager.default.temporaryDirectory.appending(path: "mismatched-\(UUID().uuidString)")
        defer { try? FileManager.default.removeItem(at: parent) }
        try FileManager.default.createDirectory(at: parent, withIntermediateDirectories: true)
        try body(parent.appending(path: "model").path)
    }

    private func writing(
        _ adapter: UserLanguageModel,
        with languageModel: UserLanguageModel,
        catalogue: Catalogue = TinyWorld.catalogue,
        to folder: String
    ) -> String {
        do {
            try ModelBundle.write(
                encoder: adapter.encoder,
                adapter: adapter.adapter,
                languageModel: .trained(languageModel.languageModel, TinyWorld.tokenizer()),
                catalogue: catalogue,
                to: folder
            )
            return "no error"
        } catch {
            return "\(error)"
        }
    }

    @Test func anAdapterOfAnotherLanguageModelIsNotWritten() throws {
        try withFolder { folder in
            let model = try TinyWorld.model()
            let wider = try TinyWorld.model(languageModel: { ($0.width, $0.headWidth) = (48, 12) })
            let deeper = try TinyWorld.model(languageModel: { $0.layers = 3 })
            let width = writing(model, with: wider, to: folder)
            #expect(width.contains("adapter.languageModelWidth is 32, expected the language model's width 48"))
            let layers = writing(model, with: deeper, to: folder)
            #expect(layers.contains("adapter.languageModelLayers is 2, expected the language model's 3 blocks"))
            #expect(!FileManager.default.fileExists(atPath: folder))
            // Heads are the language model's own affair.
            let heads = try TinyWorld.model(languageModel: { ($0.heads, $0.keyValueHeads, $0.headWidth) = (2, 1, 16) })
            #expect(writing(model, with: heads, to: folder) == "no error")
            #expect(try ModelBundle.load(folder).languageModel.configuration.heads == 2)
            #expect {
                _ = try UserLanguageModel(
                    encoder: model.encoder,
                    adapter: model.adapter,
                    languageModel: deeper.languageModel
                )
            } throws: {
                "\($0)".contains("adapter.languageModelLayers is 2")
            }
        }
    }

    /// Whatever is in the folder before stays there.
    @Test func aContextTooShortForTheLongestTitleIsNamedBeforeAnythingIsWritten() throws {
        try withFolder { folder in
            let model = try TinyWorld.model()
            #expect(writing(model, with: model, to: folder) == "no error")
            let version = try ModelBundle.load(folder).version
            var items = TinyWorld.catalogue.items
            items[3].title = String(repeating: "xyz ", count: 40)
            let catalogue = try Catalogue(items: items)
            let message = writing(model, with: model, catalogue: catalogue, to: folder)
            #expect(message.contains("language-model max_position_embeddings is 64, expected at least "))
            #expect(message.contains("for a short question and the longest title or category of "))
            #expect(try ModelBundle.load(folder).version == version)
            // A soft prompt takes positions of its own.
            let answers = try TinyWorld.answers().answers
            func short(_ kind: UserAdapter.Kind) throws -> String {
                let model = try TinyWorld.model(
                    languageModel: { $0.maximumLength = answers.longest + 9 },
                    adapter: { $0.kind = kind }
                )
                return writing(model, with: model, to: folder)
            }
            #expect(try short(.crossAttention) == "no error")
            let soft = try short(.softPrompt)
            #expect(soft.contains("max_position_embeddings is \(answers.longest + 9)"))
            #expect(soft.contains("expected at least \(answers.longest + 12)"))
        }
    }

    /// Changes a number of a bundle's file, and seals it again.
    private func set(_ folder: String, _ file: String, _ change: (inout [String: Any]) -> Void) throws {
        let url = URL(filePath: "\(folder)/\(file)")
        var object = try #require(JSONSerialization.jsonObject(with: Data(contentsOf: url)) as? [String: Any])
        change(&object)
        try JSONSerialization.data(withJSONObject: object).write(to: url)
        var parts = try ModelBundle.readManifest(folder).parts
        parts[file] = SHA256.hexDigest(of: try Data(contentsOf: url))
        let manifest = try JSONEncoder().encode(BundleManifest(parts: parts))
        try manifest.write(to: URL(filePath: "\(folder)/bundle.json"))
    }

    @Test(arguments: [
        ("adapter/config.json", "languageModelLayers", 3, "adapter.languageModelLayers is 3, expected the language"),
        ("adapter/config.json", "languageModelWidth", 48, "adapter.languageModelWidth is 48, expected the language"),
        ("language-model/config.json", "num_attention_heads", 2, "q_proj.weight"),
        ("language-model/config.json", "num_key_value_heads", 1, "k_proj.weight"),
        ("language-model/config.json", "max_position_embeddings", 9, "max_position_embeddings is 9, expected at least"),
    ])
    func aBundleOfPartsThatDoNotFitIsRefused(_ file: String, _ key: String, _ value: Int, _ expected: String) throws {
        try withFolder { folder in
            let model = try TinyWorld.model()
            #expect(writing(model, with: model, to: folder) == "no error")
            try set(folder, file) { $0[key] = value }
            do throws(BundleError) {
                _ = try ModelBundle.load(folder)
                Issue.record("it was taken")
            } catch {
                #expect(error.description.contains(expected), "\(error)")
            }
        }
    }

    /// The writer of rows reads nothing else of a bundle.
    @Test func aShapeThatCannotBeIsNamed() throws {
        try withFolder { folder in
            let model = try TinyWorld.model()
            #expect(writing(model, with: model, to: folder) == "no error")
            let shape = try ModelBundle.ContextShape(ofBundle: folder)
            #expect(shape.rows == 4 && shape.columns == 16)
            for (key, value) in [("latents", Int.max), ("latents", 0), ("width", -1)] {
                try set(folder, "adapter/config.json") { object in
                    var perceiver = object["perceiver"] as? [String: Any] ?? [:]
                    (perceiver["latents"], perceiver["width"]) = (4, 16)
                    perceiver[key] = value
                    object["perceiver"] = perceiver
                }
                #expect {
                    _ = try ModelBundle.ContextShape(ofBundle: folder)
                } throws: {
                    "\($0)".contains("adapter.perceiver.\(key) is \(value), expected")
                }
            }
        }
    }
}
