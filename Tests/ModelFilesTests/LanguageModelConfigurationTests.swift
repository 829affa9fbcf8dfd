import Foundation
@testable import ModelFiles
import Testing

@Suite struct LanguageModelConfigurationTests {
    @Test func configurationIsHuggingFaces() throws {
        var shape = LanguageModelConfiguration(vocabularySize: 300)
        shape.family = .qwen2
        shape.rotaryBase = 500_000
        shape.beginID = 7
        shape.endIDs = [3, 5]
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
            "layer_types": ["full_attention", "full_attention"], "num_key_value_heads": 4,
        ])
        #expect(qwen.family == .qwen2 && qwen.rotaryBase == 500_000)
    }

    @Test(arguments: [
        "model_type", "vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads",
        "rope_theta", "max_position_embeddings",
    ])
    func aMissingKeyThatChangesNumbersIsAnError(key: String) throws {
        #expect(try message([key: nil as Any?]).contains("\(key) is missing, expected"))
        #expect(try message([key: NSNull()]).contains("\(key) is missing, expected"))
    }

    /// The defaults of `configuration_llama.py`, `configuration_qwen2.py` and `configuration_qwen3.py`.
    @Test func keysThatMayBeLeftOutHaveTheDefaultsOfTransformers() throws {
        for family in ["llama", "qwen2", "qwen3"] {
            let found = try read([
                "model_type": family, "rms_norm_eps": nil, "tie_word_embeddings": nil, "hidden_act": nil,
                "num_attention_heads": 64, "hidden_size": 128,
            ])
            #expect(found.normEpsilon == 1e-6 && !found.tiesEmbeddings)
            #expect(found.keyValueHeads == (family == "llama" ? 64 : 32))
            #expect(found.headWidth == (family == "qwen3" ? 128 : 2))
            let given = try read(["model_type": family, "num_key_value_heads": NSNull(), "head_dim": 16])
            #expect(given.keyValueHeads == 4 && given.headWidth == 16)
        }
        for key in ["rms_norm_eps", "tie_word_embeddings", "hidden_act"] {
            #expect(try message([key: NSNull()]).contains("\(key) is missing, expected"))
        }
    }

    @Test func aWindowThatDoesNotSlideIsTaken() throws {
        let plain = try read()
        #expect(try read(["sliding_window": 4_096]) == plain)
        // No Llama of transformers reads these keys.
        #expect(try read(["sliding_window": 4_096, "use_sliding_window": true]) == plain)
        let changes: [String: Any?] = ["model_type": "qwen2", "num_key_value_heads": 4]
        let qwen = try read(changes)
        for window: [String: Any?] in [
            ["sliding_window": 4_096], ["sliding_window": 4_096, "use_sliding_window": NSNull()],
            ["sliding_window": NSNull(), "use_sliding_window": true, "max_window_layers": 0],
            // Of two layers none is behind the second, or the 28th.
            ["sliding_window": 4_096, "use_sliding_window": true, "max_window_layers": 2],
            ["sliding_window": 4_096, "use_sliding_window": true],
            [
                "sliding_window": 4_096, "use_sliding_window": true, "max_window_layers": 0,
                "layer_types": ["full_attention", "full_attention"],
            ],
        ] {
            #expect(try read(changes.merging(window) { $1 }) == qwen)
        }
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
        Refused(json: #"{"model_type": "gpt2"}"#, message: "model_type is gpt2, expected llama, qwen2 or qwen3"),
        Refused(json: #"{"hidden_act": "gelu"}"#, message: "hidden_act is gelu"),
        Refused(json: #"{"rope_scaling": {"type": "linear", "factor": 2.0}}"#, message: "rope_scaling."),
        Refused(json: #"{"rope_scaling": {"rope_type": "llama3"}}"#, message: "rope_scaling.factor is missing"),
        Refused(
            json:
                #"{"rope_scaling": {"rope_type": "llama3", "factor": 8, "low_freq_factor": 4, "high_freq_factor": 4, "original_max_position_embeddings": 8192}}"#,
            message: "rope_scaling.low_freq_factor is 4.0, expected above 0 and below high_freq_factor, which is 4.0"
        ),
        Refused(
            json:
                #"{"rope_scaling": {"rope_type": "llama3", "factor": 0.5, "low_freq_factor": 1, "high_freq_factor": 4, "original_max_position_embeddings": 8192}}"#,
            message: "rope_scaling.factor is 0.5, expected from 1.0 to"
        ),
        Refused(
            json:
                #"{"rope_parameters": {"rope_type": "default"}, "rope_scaling": {"rope_type": "llama3", "factor": 8, "low_freq_factor": 1, "high_freq_factor": 4, "original_max_position_embeddings": 8192}}"#,
            message: "rope_scaling is another scaling, expected the same as rope_parameters"
        ),
        Refused(json: #"{"rope_scaling": {"rope_type": "default", "type": "llama3"}}"#, message: "expected the same"),
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
        Refused(json: #"{"attention_bias": 1}"#, message: "attention_bias"),
        Refused(
            json: #"{"model_type": "qwen3"}"#,
            message: "num_key_value_heads is 32, expected a divisor of the 4 attention heads"
        ),
        Refused(
            json: #"{"eos_token_id": [2, 32000]}"#,
            message: "eos_token_id is 32000, expected a token from 0 to 31999"
        ),
        Refused(json: #"{"bos_token_id": -1}"#, message: "bos_token_id is -1"),
        Refused(json: #"{"eos_token_id": "2"}"#, message: "eos_token_id"),
        Refused(json: #"{"mlp_bias": true}"#, message: "mlp_bias is true"),
        Refused(json: #"{"num_key_value_heads": 3}"#, message: "num_key_value_heads is 3"),
        Refused(json: #"{"hidden_size": 66}"#, message: "hidden_size is 66, expected a multiple of the 4 heads"),
        Refused(
            json:
                #"{"model_type": "qwen2", "num_key_value_heads": 4, "use_sliding_window": true, "max_window_layers": 1}"#,
            message: "use_sliding_window is true, expected false, as max_window_layers is 1 of 2"
        ),
        Refused(
            json: #"{"layer_types": ["full_attention", "sliding_attention"]}"#,
            message: "layer_types is sliding_attention"
        ),
        Refused(json: #"{"torch_dtype": "float8_e4m3fn"}"#, message: "torch_dtype is float8_e4m3fn"),
        Refused(json: #"{"dtype": "int8"}"#, message: "dtype is int8, expected float32, float16 or bfloat16"),
        Refused(
            json: #"{"quantization_config": {"bits": 4, "quant_method": "gptq"}}"#,
            message: "quantization_config is of quant_method gptq, expected null: give the model it was made from, or"
        ),
        Refused(json: #"{"quantization_config": {"bits": 4}}"#, message: "quantization_config is an object, expected"),
        Refused(json: #"{"quantization_config": "fp8"}"#, message: #"quantization_config is "fp8", expected"#),
        Refused(json: #"{"logits_scaling": 8}"#, message: "logits_scaling is 8, expected null: models that need it"),
        Refused(json: #"{"logit_scale": 0.5}"#, message: "logit_scale is 0.5"),
        Refused(json: #"{"qk_norm": true}"#, message: "qk_norm is true"),
        Refused(json: #"{"no_rope_layers": [1, 0]}"#, message: "no_rope_layers is an array"),
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

    /// What transformers 4 and 5 wrote of the same configurations.
    @Test(arguments: ["llama", "llama-plain", "qwen2", "qwen3"])
    func filesOfBothVersionsGiveTheSame(name: String) throws {
        let four = try Fixture.configuration("\(name)-4")
        #expect(try Fixture.configuration("\(name)-5") == four)
        #expect(four.vocabularySize == 48 && four.width == 32 && four.feedForwardWidth == 64 && four.layers == 2)
        #expect(four.heads == 4 && four.keyValueHeads == 2 && four.maximumLength == 512)
        #expect(four.headWidth == (name == "qwen3" ? 16 : 8))
        #expect(four.tiesEmbeddings == (name != "llama") && four.normEpsilon == (name == "llama" ? 1e-5 : 1e-6))
        #expect(four.beginID == 1 && four.endIDs == (name == "llama" ? [2, 3] : [2]))
        let llama3 = RotaryScaling.Llama3(
            factor: 32,
            lowFrequencyFactor: 1,
            highFrequencyFactor: 4,
            originalLength: 8_192
        )
        #expect(four.rotaryScaling == (name == "llama" ? .llama3(llama3) : .none))
        #expect(four.hasInputBiases == ["llama", "qwen2"].contains(name) && four.hasOutputBias == (name == "llama"))
        #expect(four.normalizesHeads == (name == "qwen3"))
        // What we write, we read.
        let data = try JSONEncoder().encode(four)
        #expect(try JSONDecoder().decode(LanguageModelConfiguration.self, from: data) == four)
    }

    @Test func rotarySpeedsAreThoseOfTransformers() throws {
        let object = try #require(
            JSONSerialization.jsonObject(with: Fixture.data("rotary.json")) as? [String: Any]
        )
        let expected = try #require(object["speeds"] as? [Double])
        let llama3 = RotaryScaling.Llama3(
            factor: 32,
            lowFrequencyFactor: 1,
            highFrequencyFactor: 4,
            originalLength: 8_192
        )
        let found = RotaryScaling.llama3(llama3).speeds(headWidth: 64, base: 500_000)
        #expect(found.count == expected.count)
        // Theirs are Float32.
        let worst = zip(found, expected).map { abs($0 / $1 - 1) }.max() ?? 1
        #expect(worst < 1e-6, "\(worst)")
        let plain = RotaryScaling.none.speeds(headWidth: 64, base: 500_000)
        let ratios = zip(plain, found).map { $0 / $1 }
        #expect(ratios.first == 1 && ratios.last == 32 && ratios.contains { $0 > 1.01 && $0 < 31.9 })
        // A GGUF file has the ratios alone.
        let divisors = ratios.map { Float($0) }
        #expect(RotaryScaling.recognised(divisors, headWidth: 64, base: 500_000) == .llama3(llama3))
        #expect(RotaryScaling.recognised([1, 1, 1], headWidth: 6, base: 10) == .none)
        let others = divisors.map { $0 * 1.5 }
        #expect(RotaryScaling.recognised(others, headWidth: 64, base: 500_000) == .divisors(others))
        let halved = RotaryScaling.divisors(others).speeds(headWidth: 64, base: 500_000)
        #expect(zip(halved, found).allSatisfy { abs($0 * 1.5 / $1 - 1) < 1e-6 })
    }
}
