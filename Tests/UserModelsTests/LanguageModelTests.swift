import Foundation
import Bytes
import ModelFiles
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

    @Test func whatHasNoLayersHereIsNamed() throws {
        var shape = LanguageModelConfiguration(vocabularySize: 50)
        func message(_ change: (inout LanguageModelConfiguration) -> Void) -> String {
            var changed = shape
            change(&changed)
            var random = SeededRandom(seed: 1)
            do {
                _ = try LanguageModel(configuration: changed, using: &random)
                return "no error"
            } catch {
                return "\(error)"
            }
        }
        #expect(message { _ in } == "no error")
        #expect(message { $0.family = .qwen3 }.contains("model_type is qwen3, expected llama or qwen2"))
        #expect(message { $0.attentionBias = true }.contains("attention_bias is true"))
        shape.rotaryScaling = .divisors([Float](repeating: 2, count: 16))
        #expect(message { _ in }.contains("rope_scaling is set"))
    }
}
