import Bytes
import Foundation
import ModelFiles
import NeuralNetwork
import Tensors
import Testing

@testable import UserModels

/// Bundles that somebody changed and sealed again: the hashes are right, and the numbers are not.
@Suite struct HostileBundleTests {
    /// A change of a bundle's JSON files: file, key path and what stands there, as JSON.
    typealias Change = (file: String, key: String, value: String)

    private static let encoder = "encoder/config.json"
    private static let adapter = "adapter/config.json"
    private static let language = "language-model/config.json"

    /// What loading says of a bundle that `change` was done to, before it was sealed again.
    private func message(seals: Bool = true, _ change: (_ folder: String) throws -> Void) throws -> String {
        let parent = FileManager.default.temporaryDirectory.appending(path: "hostile-\(UUID().uuidString)")
        defer { try? FileManager.default.removeItem(at: parent) }
        let folder = parent.appending(path: "model").path
        try ModelBundle.write(
            model: TinyWorld.model(),
            tokenizer: TinyWorld.tokenizer(),
            catalogue: TinyWorld.catalogue,
            to: folder
        )
        try change(folder)
        if seals { try seal(folder) }
        do throws(BundleError) {
            _ = try ModelBundle.load(folder)
            return "no error"
        } catch {
            return error.description
        }
    }

    private func message(_ changes: [Change]) throws -> String {
        try message { folder in
            for change in changes { try set(folder, change) }
        }
    }

    private func set(_ folder: String, _ change: Change) throws {
        let url = URL(filePath: "\(folder)/\(change.file)")
        let value = try JSONSerialization.jsonObject(with: Data(change.value.utf8), options: .fragmentsAllowed)
        var object = try #require(
            JSONSerialization.jsonObject(with: Data(contentsOf: url)) as? [String: Any]
        )
        let keys = change.key.split(separator: ".").map(String.init)
        if keys.count == 2 {
            var inner = try #require(object[keys[0]] as? [String: Any])
            inner[keys[1]] = value
            object[keys[0]] = inner
        } else {
            object[keys[0]] = value
        }
        try JSONSerialization.data(withJSONObject: object).write(to: url)
    }

    /// Writes the manifest anew, as whoever may write the files can do.
    private func seal(_ folder: String) throws {
        var manifest = try JSONDecoder().decode(BundleManifest.self, from: Data(contentsOf: manifestURL(folder)))
        for file in manifest.parts.keys {
            manifest.parts[file] = SHA256.hexDigest(of: try Data(contentsOf: URL(filePath: "\(folder)/\(file)")))
        }
        try write(BundleManifest(parts: manifest.parts), folder)
    }

    private func manifestURL(_ folder: String) -> URL { URL(filePath: "\(folder)/bundle.json") }

    private func write(_ manifest: BundleManifest, _ folder: String) throws {
        try JSONEncoder().encode(manifest).write(to: manifestURL(folder))
    }

    /// A manifest is as much from outside as the rest.
    @Test(arguments: [
        ("language-model/../bundle.json", "parts has language-model/../bundle.json, expected catalogue.json"),
        ("/etc/passwd", "parts has /etc/passwd"), ("language-model/", "parts has language-model/"),
    ])
    func aPartThatCannotBeIsNamed(part: String, expected: String) throws {
        #expect(
            try message(seals: false) { folder in
                var manifest = try JSONDecoder().decode(
                    BundleManifest.self,
                    from: Data(contentsOf: manifestURL(folder))
                )
                manifest.parts[part] = ""
                try write(BundleManifest(parts: manifest.parts), folder)
            }.contains(expected)
        )
    }

    /// The file that weights are read from, whatever stands beside it and comes before it.
    @Test func theFileOfAMissingWeightIsNamed() throws {
        let message = try message { folder in
            try Data("{{ messages }}".utf8).write(to: URL(filePath: "\(folder)/language-model/chat_template.jinja"))
            var manifest = try JSONDecoder().decode(BundleManifest.self, from: Data(contentsOf: manifestURL(folder)))
            manifest.parts["language-model/chat_template.jinja"] = ""
            try write(manifest, folder)
            try set(folder, (Self.language, "num_hidden_layers", "1000"))
        }
        #expect(message.contains("no tensor model.layers.2.input_layernorm.weight"))
        #expect(message.contains("language-model/model.safetensors") && !message.contains("chat_template.jinja"))
    }

    @Test func sealedAsItWasIsTaken() throws {
        #expect(try message([Change]()) == "no error")
        #expect(try message([(Self.language, "rope_theta", "500000")]) == "no error")
    }

    @Test(arguments: [
        (language, "vocab_size", "1000000000", "vocab_size is 1000000000, expected from 1 to 4000000"),
        (language, "vocab_size", "3000000", "model.embed_tokens.weight has the shape"),
        (language, "vocab_size", "0", "vocab_size is 0"),
        (language, "hidden_size", "-32", "hidden_size is -32"),
        (language, "num_hidden_layers", "1000000000", "num_hidden_layers is 1000000000, expected from 1 to 1000"),
        (language, "num_hidden_layers", "1000", "no tensor model.layers.2.input_layernorm.weight"),
        (language, "num_hidden_layers", "1", "tensors that a model of its configuration does not have"),
        (language, "num_attention_heads", "0", "num_attention_heads is 0"),
        (language, "num_attention_heads", "9223372036854775807", "num_attention_heads is 9223372036854775807"),
        (language, "num_key_value_heads", "3", "num_key_value_heads is 3, expected a divisor of the 4"),
        (language, "num_key_value_heads", "-1", "num_key_value_heads is -1"),
        (language, "head_dim", "7", "head_dim is 7"),
        (language, "head_dim", "65536", "q_proj.weight has the shape"),
        (language, "intermediate_size", "1000000000000", "intermediate_size is 1000000000000"),
        (language, "rope_theta", "0", "rope_theta is 0.0, expected from 1.0 to"),
        (language, "rope_theta", "-10000", "rope_theta is -10000.0"),
        (language, "rope_theta", "1e300", "rope_theta: 1e"),
        (language, "rope_theta", "\"big\"", "rope_theta: \"big\" must be a number"),
        (language, "hidden_size", "1.5", "hidden_size: 1.5 must be a whole number"),
        (encoder, "inputScale", "1e39", "inputScale: 1e"),
        (language, "rms_norm_eps", "0", "rms_norm_eps is 0.0"),
        (language, "rms_norm_eps", "-1e-5", "rms_norm_eps is -1e-05"),
        (language, "max_position_embeddings", "0", "max_position_embeddings is 0"),
        (language, "max_position_embeddings", "9223372036854775807", "max_position_embeddings is"),
        (encoder, "itemCount", "1000000000000", "encoder.itemCount is 1000000000000, expected from 1 to 100000000"),
        (encoder, "itemCount", "100000000", "encoder.itemCount is 100000000, expected the catalogue's 12 items"),
        (encoder, "categoryCount", "4", "encoder.categoryCount is 4, expected the catalogue's 3 categories"),
        (encoder, "categoryCount", "-1", "encoder.categoryCount is -1"),
        (encoder, "layers", "1000000000", "encoder.layers is 1000000000, expected from 1 to 1000"),
        (encoder, "layers", "1000", "blocks.2.attention_norm.weight"),
        (encoder, "length", "65536", "positions.weight has the shape"),
        (encoder, "length", "1000000000", "encoder.length is 1000000000"),
        (encoder, "heads", "0", "encoder.heads is 0"),
        (encoder, "heads", "5", "encoder.heads is 5, expected a divisor of the width 16"),
        (encoder, "width", "9223372036854775804", "encoder.width is 9223372036854775804"),
        (encoder, "features.unknownItemBuckets", "4000000000", "unknownItemBuckets is 4000000000"),
        (encoder, "features.timeGapBuckets", "9223372036854775807", "timeGapBuckets is 9223372036854775807"),
        (encoder, "features.ratingStep", "1e-30", "ratingStep is 1e-30"),
        (encoder, "head.temperature", "1e-40", "temperature"),
        (adapter, "crossAttentionEvery", "0", "adapter.crossAttentionEvery is 0"),
        (adapter, "crossAttentionFrom", "-1", "adapter.crossAttentionFrom is -1, expected from 0 to below"),
        (adapter, "crossAttentionFrom", "2", "adapter.crossAttentionFrom is 2"),
        (adapter, "crossAttentionFrom", "9223372036854775807", "adapter.crossAttentionFrom is"),
        (adapter, "crossAttentionWidth", "65536", "cross_attention.0.query.weight has the shape"),
        (adapter, "crossAttentionWidth", "0", "adapter.crossAttentionWidth is 0"),
        (adapter, "crossAttentionWidth", "-8", "adapter.crossAttentionWidth is -8"),
        (adapter, "kind", "\"none\"", "kind"),
        (adapter, "kind", "\"soft-prompt\"", "12 tensors the model does not know, the first is cross_attention.0.gate"),
        (adapter, "contextFrom", "\"nowhere\"", "contextFrom"),
        (adapter, "crossAttentionEvery", "9223372036854775807", "adapter.crossAttentionEvery is"),
        (adapter, "crossAttentionHeads", "3", "adapter.crossAttentionHeads is 3"),
        (adapter, "languageModelLayers", "1000000000", "adapter.languageModelLayers is 1000000000"),
        (adapter, "languageModelWidth", "65536", "adapter.languageModelWidth is 65536, expected the language model's"),
        (adapter, "gateOpening", "1", "adapter.gateOpening is 1.0"),
        (adapter, "perceiver.latents", "65536", "perceiver.latents has the shape"),
        (adapter, "perceiver.latents", "1000000000000", "adapter.perceiver.latents is 1000000000000"),
        (adapter, "perceiver.layers", "1000", "perceiver.layers.2.latent_norm.weight"),
        (adapter, "perceiver.heads", "0", "adapter.perceiver.heads is 0"),
        (adapter, "perceiver.width", "65536", "adapter.perceiver.width is 65536, expected the encoder's width 16"),
    ])
    func aNumberThatCannotBeIsNamed(file: String, key: String, value: String, expected: String) throws {
        let message = try message([(file, key, value)])
        #expect(message.contains(expected))
    }

    /// Every number is in its range and all of them fit each other: the model would have terabytes.
    @Test func aModelThatItsFilesDoNotHoldIsNeverMade() throws {
        let encoder = try message([
            (Self.encoder, "width", "65536"), (Self.encoder, "feedForwardWidth", "1048576"),
            (Self.encoder, "layers", "1000"), (Self.adapter, "perceiver.width", "65536"),
        ])
        #expect(encoder.contains("tensor items.weight has the shape [12, 16], the model needs [12, 65536]"))
        let language = try message([
            (Self.language, "intermediate_size", "1048576"), (Self.language, "head_dim", "65536"),
            (Self.language, "num_attention_heads", "65536"), (Self.language, "num_key_value_heads", "65536"),
        ])
        #expect(language.contains("its configuration asks for [4294967296, 32]"))
    }

    @Test func whatIsDeclaredTakesNoMemory() throws {
        var shape = LanguageModelConfiguration(vocabularySize: 4_000_000)
        (shape.width, shape.layers, shape.feedForwardWidth) = (65_536, 1_000, 1_048_576)
        var declared = DeclaredWeights()
        let model = try LanguageModel(configuration: shape, weights: &declared)
        #expect(declared.list.count == 2 + 9 * 1_000)
        #expect(declared.list.first?.shape == [4_000_000, 65_536])
        #expect(model.parameters.allSatisfy { $0.count == 0 })
    }

    @Test(arguments: ["encoder", "adapter", "language-model"], [Float.nan, -.infinity])
    func aWeightThatIsNoNumberIsNamed(part: String, value: Float) throws {
        var (name, count) = ("", 0)
        let message = try message { folder in
            let path = "\(folder)/\(part)/model.safetensors"
            var bytes = try Data(contentsOf: URL(filePath: path))
            // The last tensor of the file ends with it.
            withUnsafeBytes(of: value) { bytes.replaceSubrange((bytes.count - 4)..<bytes.count, with: $0) }
            try bytes.write(to: URL(filePath: path))
            let model = try TinyWorld.model()
            let modules: [String: any Module] = [
                "encoder": model.encoder, "adapter": model.adapter, "language-model": model.languageModel,
            ]
            let last = try #require(modules[part]?.parameters.last)
            (name, count) = (last.name, last.count)
        }
        let problem = part == "language-model" ? "is not finite" : "is \(value), expected a finite number"
        #expect(message.contains("value \(count - 1) of tensor \(name) \(problem)"))
    }

    @Test func aPipeInAFilesPlaceIsRefused() throws {
        let parent = FileManager.default.temporaryDirectory.appending(path: "hostile-\(UUID().uuidString)")
        defer { try? FileManager.default.removeItem(at: parent) }
        try FileManager.default.createDirectory(at: parent, withIntermediateDirectories: true)
        #expect(mkfifo(parent.appending(path: "bundle.json").path, 0o600) == 0)
        #expect {
            try ModelBundle.load(parent.path)
        } throws: {
            "\($0)".contains("bundle.json") && "\($0)".contains("is no file but a folder, pipe or device")
        }
    }

    @Test func aManifestThatIsTooLongIsRefusedUnread() throws {
        let message = try message([(Self.encoder, "note", "\"" + String(repeating: "a", count: 2_000_000) + "\"")])
        #expect(message.contains("encoder/config.json") && message.contains("expected at most 1048576"))
    }
}
