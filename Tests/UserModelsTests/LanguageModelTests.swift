import Foundation
import NeuralNetwork
import Testing
import UserModels

@Suite struct LanguageModelTests {
    private func model(
        family: LanguageModelConfiguration.Family = .llama,
        tied: Bool = true,
        keyValueHeads: Int = 2
    ) throws -> LanguageModel {
        var random = SeededRandom(seed: 5)
        var shape = LanguageModelConfiguration(vocabularySize: 50)
        shape.family = family
        shape.width = 32
        shape.layers = 2
        shape.headWidth = 8
        shape.keyValueHeads = keyValueHeads
        shape.feedForwardWidth = 48
        shape.tiesEmbeddings = tied
        return try LanguageModel(configuration: shape, using: &random)
    }

    private let tokens: [Int32] = [3, 14, 15, 9, 2, 6, 5, 35]

    @Test(arguments: [LanguageModelConfiguration.Family.llama, .qwen2], [1, 2, 4])
    func cachedDecodingEqualsTheFullPass(family: LanguageModelConfiguration.Family, keyValueHeads: Int) throws {
        let model = try model(family: family, keyValueHeads: keyValueHeads)
        let graph = Graph(recording: false, seed: 0)
        let other = Array(tokens.reversed())
        let full = graph.values(of: model.hidden(graph, tokens: tokens + other, count: 2))
        var cache = model.makeCache(count: 2)
        var parts = graph.values(of: model.hidden(graph, tokens: Array(tokens[..<4] + other[..<4]), cache: &cache))
        var worst = worstDifference(parts[..<128], full[..<128])
        worst = max(worst, worstDifference(parts[128...], full[256..<384]))
        for position in 4..<8 {
            parts = graph.values(
                of: model.hidden(graph, tokens: [tokens[position], other[position]], cache: &cache)
            )
            worst = max(worst, worstDifference(parts[..<32], full[position * 32..<(position + 1) * 32]))
            let row = 256 + position * 32
            worst = max(worst, worstDifference(parts[32...], full[row..<row + 32]))
        }
        #expect(worst < 1e-5, "the worst difference is \(worst)")
    }

    @Test func selectedCacheGoesOnFromThatText() throws {
        let model = try model()
        let graph = Graph(recording: false, seed: 0)
        var cache = model.makeCache(count: 2)
        _ = model.hidden(graph, tokens: [1, 2, 3, 4, 5, 6], cache: &cache)
        var forked = cache.selecting([1, 1, 0])
        let outputs = graph.values(of: model.hidden(graph, tokens: [7, 8, 7], cache: &forked))
        let full = graph.values(of: model.hidden(graph, tokens: [4, 5, 6, 7, 4, 5, 6, 8, 1, 2, 3, 7], count: 3))
        for text in 0..<3 {
            let row = (text * 4 + 3) * 32
            #expect(worstDifference(outputs[text * 32..<(text + 1) * 32], full[row..<row + 32]) < 1e-5)
        }
    }

    @Test func laterTokensDoNotChangeEarlierOnes() throws {
        let model = try model()
        let graph = Graph(recording: false, seed: 0)
        let before = graph.values(of: model.hidden(graph, tokens: tokens, count: 1))
        var changed = tokens
        changed[7] = 20
        let after = graph.values(of: model.hidden(graph, tokens: changed, count: 1))
        #expect(worstDifference(before[..<224], after[..<224]) == 0)
        #expect(worstDifference(before[224...], after[224...]) > 1e-3)
    }

    @Test func weightsHaveHuggingFacesNamesAndShapes() throws {
        let shapes = Dictionary(
            uniqueKeysWithValues: try model(family: .qwen2, tied: false).parameters.map { ($0.name, $0.shape) }
        )
        #expect(shapes["model.embed_tokens.weight"] == [50, 32])
        #expect(shapes["model.layers.1.self_attn.k_proj.weight"] == [16, 32])
        #expect(shapes["model.layers.1.self_attn.k_proj.bias"] == [16])
        #expect(shapes["model.layers.0.self_attn.o_proj.weight"] == [32, 32])
        #expect(shapes["model.layers.0.mlp.down_proj.weight"] == [32, 48])
        #expect(shapes["model.layers.0.post_attention_layernorm.weight"] == [32])
        #expect(shapes["model.norm.weight"] == [32])
        #expect(shapes["lm_head.weight"] == [50, 32])
        #expect(shapes.count == 2 * 12 + 3)
        let llama = try model().parameters.map(\.name)
        #expect(!llama.contains { $0.hasSuffix(".bias") || $0 == "lm_head.weight" })
    }

    @Test func configurationIsHuggingFaces() throws {
        var shape = LanguageModelConfiguration(vocabularySize: 300)
        shape.family = .qwen2
        shape.rotaryBase = 500_000
        let data = try JSONEncoder().encode(shape)
        #expect(try JSONDecoder().decode(LanguageModelConfiguration.self, from: data) == shape)
        let json = try #require(JSONSerialization.jsonObject(with: data) as? [String: Any])
        #expect(json["model_type"] as? String == "qwen2")
        #expect(json["architectures"] as? [String] == ["Qwen2ForCausalLM"])
        #expect(json["num_key_value_heads"] as? Int == 2)
        // As transformers writes a Llama without key and value heads of its own.
        let plain = """
            {"model_type": "llama", "vocab_size": 32000, "hidden_size": 64, "intermediate_size": 128, "rope_scaling": null,
             "num_hidden_layers": 2, "num_attention_heads": 4, "rms_norm_eps": 1e-6, "unknown": [1]}
            """
        let read = try JSONDecoder().decode(LanguageModelConfiguration.self, from: Data(plain.utf8))
        #expect(read.keyValueHeads == 4 && read.headWidth == 16 && !read.tiesEmbeddings && read.rotaryBase == 10_000)
    }

    @Test(arguments: [
        ("\"model_type\": \"gpt2\"", "model_type is gpt2"),
        ("\"hidden_act\": \"gelu\"", "hidden_act is gelu"),
        ("\"rope_scaling\": {\"type\": \"linear\"}", "rope_scaling is set"),
        ("\"attention_bias\": true", "attention_bias is true"),
        ("\"num_key_value_heads\": 3", "num_key_value_heads is 3"),
        ("\"use_sliding_window\": true", "use_sliding_window is true"),
    ])
    func whatIsNotSupportedIsNamed(entry: String, message: String) {
        let family = entry.contains("model_type") ? "" : "\"model_type\": \"llama\", "
        let json = """
            {\(family)"vocab_size": 100, "hidden_size": 64, "intermediate_size": 128,
             "num_hidden_layers": 2, "num_attention_heads": 4, \(entry)}
            """
        #expect {
            try JSONDecoder().decode(LanguageModelConfiguration.self, from: Data(json.utf8))
        } throws: {
            "\($0)".contains(message)
        }
    }
}
