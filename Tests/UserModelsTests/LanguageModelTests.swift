import Foundation
import Bytes
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
    }

    /// A Llama of transformers 4 without key and value heads of its own; `changes` replaces or takes away keys.
    private func huggingFace(_ changes: [String: Any?] = [:]) throws -> Data {
        var object: [String: Any] = [
            "architectures": ["LlamaForCausalLM"], "attention_bias": false, "attention_dropout": 0.0, "bos_token_id": 1,
            "eos_token_id": 2, "hidden_act": "silu", "hidden_size": 64, "initializer_range": 0.02,
            "intermediate_size": 128, "max_position_embeddings": 2048, "mlp_bias": false, "model_type": "llama",
            "num_attention_heads": 4, "num_hidden_layers": 2, "pretraining_tp": 1, "rms_norm_eps": 1e-6,
            "rope_scaling": NSNull(), "rope_theta": 500_000.0, "tie_word_embeddings": false, "torch_dtype": "float32",
            "transformers_version": "4.46.0", "use_cache": true, "vocab_size": 32_000, "unknown": [1],
        ]
        for (key, value) in changes { object[key] = value }
        return try JSONSerialization.data(withJSONObject: object)
    }

    private func read(_ changes: [String: Any?] = [:]) throws -> LanguageModelConfiguration {
        try JSONDecoder().decode(LanguageModelConfiguration.self, from: huggingFace(changes))
    }

    private func message(_ changes: [String: Any?]) throws -> String {
        do {
            _ = try read(changes)
            return "no error"
        } catch {
            return "\(error)"
        }
    }

    @Test func bothFormsOfTransformersGiveTheSame() throws {
        let four = try read()
        #expect(four.keyValueHeads == 4 && four.headWidth == 16 && !four.tiesEmbeddings)
        #expect(four.rotaryBase == 500_000 && four.normEpsilon == 1e-6 && four.maximumLength == 2048)
        let parameters: [String: Any] = ["rope_theta": 500_000.0, "rope_type": "default"]
        let five = try read([
            "rope_theta": nil, "rope_scaling": nil, "torch_dtype": nil, "dtype": "bfloat16", "head_dim": 16,
            "num_key_value_heads": 4, "rope_parameters": parameters, "transformers_version": "5.0.0",
        ])
        #expect(five == four)
        // A folder that was written with 4 and opened by 5 has both.
        #expect(try read(["rope_parameters": parameters]) == four)
        #expect(try read(["rope_scaling": ["rope_type": "default"]]) == four)
        #expect(try read(["rope_parameters": ["type": "default", "factor": NSNull()], "dtype": "float16"]) == four)
        let qwen = try read([
            "model_type": "qwen2", "use_sliding_window": false, "sliding_window": 4096, "max_window_layers": 28,
            "layer_types": ["full_attention", "full_attention"],
        ])
        #expect(qwen.family == .qwen2 && qwen.rotaryBase == 500_000)
    }

    @Test(arguments: [
        "model_type", "vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads",
        "rms_norm_eps", "rope_theta", "max_position_embeddings", "tie_word_embeddings", "hidden_act",
    ])
    func aMissingKeyThatChangesNumbersIsAnError(key: String) throws {
        #expect(try message([key: nil as Any?]).contains("\(key) is missing, expected"))
        #expect(try message([key: NSNull()]).contains("\(key) is missing, expected"))
    }

    @Test func aMissingBaseSaysWhatTransformersTakes() throws {
        let message = try message(["rope_theta": nil, "rope_parameters": ["rope_type": "default"]])
        #expect(message.contains("rope_theta is missing") && message.contains("transformers takes 10000"))
    }

    struct Refused: Sendable {
        let json: String
        let message: String
    }

    @Test(arguments: [
        Refused(json: #"{"model_type": "gpt2"}"#, message: "model_type is gpt2, expected llama or qwen2"),
        Refused(json: #"{"hidden_act": "gelu"}"#, message: "hidden_act is gelu"),
        Refused(json: #"{"rope_scaling": {"type": "linear", "factor": 2.0}}"#, message: "rope_scaling."),
        Refused(json: #"{"rope_scaling": {"rope_type": "llama3"}}"#, message: "rope_scaling.rope_type is llama3"),
        Refused(json: #"{"rope_parameters": {"rope_type": "yarn"}}"#, message: "rope_parameters.rope_type is yarn"),
        Refused(
            json: #"{"rope_parameters": {"rope_theta": 500000, "factor": 8}}"#,
            message: "rope_parameters.factor is set"
        ),
        Refused(
            json: #"{"rope_parameters": {"rope_theta": 10000, "rope_type": "default"}}"#,
            message: "rope_parameters.rope_theta is 10000.0, expected the same as rope_theta, which is 500000.0"
        ),
        Refused(
            json: #"{"rope_parameters": {"full_attention": {"rope_theta": 500000}}}"#,
            message: "rope_parameters.full_attention is set"
        ),
        Refused(
            json: #"{"rope_parameters": {"partial_rotary_factor": 0.5}}"#,
            message: "rope_parameters.partial_rotary_factor is 0.5, expected 1"
        ),
        Refused(json: #"{"partial_rotary_factor": 0.25}"#, message: "partial_rotary_factor is 0.25, expected 1"),
        Refused(json: #"{"attention_bias": true}"#, message: "attention_bias is true"),
        Refused(json: #"{"mlp_bias": true}"#, message: "mlp_bias is true"),
        Refused(json: #"{"num_key_value_heads": 3}"#, message: "num_key_value_heads is 3"),
        Refused(json: #"{"hidden_size": 66}"#, message: "hidden_size is 66, expected a multiple of the 4 heads"),
        Refused(json: #"{"use_sliding_window": true}"#, message: "use_sliding_window is true"),
        Refused(json: #"{"sliding_window": 4096}"#, message: "sliding_window is 4096, expected null"),
        Refused(
            json: #"{"layer_types": ["full_attention", "sliding_attention"]}"#,
            message: "layer_types is sliding_attention"
        ),
        Refused(json: #"{"torch_dtype": "float8_e4m3fn"}"#, message: "torch_dtype is float8_e4m3fn"),
        Refused(json: #"{"dtype": "int8"}"#, message: "dtype is int8, expected float32, float16 or bfloat16"),
        Refused(json: #"{"quantization_config": {"bits": 4}}"#, message: "quantization_config is set"),
        Refused(json: #"{"logits_scaling": 8}"#, message: "logits_scaling is set"),
        Refused(json: #"{"rope_theta": 0}"#, message: "rope_theta is 0.0, expected from 1.0 to"),
        Refused(json: #"{"rms_norm_eps": 0}"#, message: "rms_norm_eps is 0.0"),
    ])
    func whatIsNotSupportedIsNamed(refused: Refused) throws {
        let changes = try #require(JSONSerialization.jsonObject(with: Data(refused.json.utf8)) as? [String: Any])
        #expect(try message(changes).contains(refused.message))
    }

    @Test func whatIsSwitchedOffIsTaken() throws {
        #expect(try read(["qk_norm": false, "quantization_config": NSNull(), "partial_rotary_factor": 1.0]) == read())
    }
}
