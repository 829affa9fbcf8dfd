import Foundation
import ModelFiles
import NeuralNetwork
import Tensors
import TestSupport
import Testing
import UserModels

@Suite struct LowRankTests {
    private static let fixtures = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .appending(path: "Fixtures")
    private static let base = fixtures.appending(path: "LanguageModels/tiny/llama-untied-2-kv-heads-wide-f16").path
    private static let adapter = fixtures.appending(path: "LowRank/adapter").path
    private let tokens: [Int32] = [3, 14, 15, 9, 2, 6, 5, 35]

    private func model(_ change: (inout LanguageModelConfiguration) -> Void = { _ in }) throws -> LanguageModel {
        var random = SeededRandom(seed: 5)
        var shape = LanguageModelConfiguration(vocabularySize: 50)
        (shape.width, shape.layers, shape.headWidth, shape.keyValueHeads, shape.feedForwardWidth) = (32, 2, 8, 2, 48)
        change(&shape)
        return try LanguageModel(configuration: shape, using: &random)
    }

    private func adapter(
        for model: LanguageModel,
        layers: [LanguageModel.LinearLayer] = LanguageModel.LinearLayer.allCases
    ) throws -> LowRankAdapter {
        var random = SeededRandom(seed: 6)
        var configuration = LowRankAdapter.Configuration()
        (configuration.rank, configuration.alpha, configuration.layers) = (3, 5, layers)
        return try LowRankAdapter(configuration: configuration, base: model.configuration, using: &random)
    }

    /// Gives B values, as a training would.
    private func fill(_ adapter: LowRankAdapter) {
        var random = SeededRandom(seed: 7)
        for parameter in adapter.parameters where parameter.name.contains("lora_B") {
            parameter.value.assign((0..<parameter.count).map { _ in 0.2 * random.normal() })
        }
    }

    private func logits(_ model: LanguageModel, _ tokens: [Int32]) -> [Float] {
        let graph = Graph(recording: false, seed: 0)
        let hidden = model.hidden(graph, tokens: tokens, count: 1)
        let rows = graph.reshaped(hidden, [tokens.count, model.configuration.width])
        return graph.values(of: model.logits(graph, rows))
    }

    private func message(_ body: () throws -> Void) -> String {
        do {
            try body()
            return "no error"
        } catch {
            return "\(error)"
        }
    }

    @Test func aNewAdapterChangesNoBitAndAFilledOneDoes() throws {
        let model = try model()
        let adapter = try adapter(for: model)
        let adapted = try model.adding(adapter)
        #expect(logits(adapted, tokens).map(\.bitPattern) == logits(model, tokens).map(\.bitPattern))
        fill(adapter)
        #expect(worstDifference(logits(adapted, tokens), logits(model, tokens)) > 0.1)
        #expect(adapted.parameters.map(\.name) == model.parameters.map(\.name))
    }

    @Test(arguments: [[.query, .value], [.down], LanguageModel.LinearLayer.allCases])
    func aMergedModelComputesTheSame(layers: [LanguageModel.LinearLayer]) throws {
        let model = try model()
        let before = TinyWorld.bits(model.parameters)
        let adapter = try adapter(for: model, layers: layers)
        fill(adapter)
        let adapted = try model.adding(adapter)
        let merged = adapted.merged()
        #expect(merged.lowRank == nil)
        let worst = worstDifference(logits(merged, tokens), logits(adapted, tokens))
        print("merged and unmerged logits differ by \(worst)")
        #expect(worst < 2e-5)
        #expect(worstDifference(logits(merged, tokens), logits(model, tokens)) > 0.01)
        #expect(TinyWorld.bits(model.parameters) == before)
    }

    @Test func gradientsAreThoseOfDifferences() throws {
        let model = try model { $0.layers = 1 }
        let adapter = try adapter(for: model)
        fill(adapter)
        let adapted = try model.adding(adapter)
        for parameter in model.parameters { parameter.isTrainable = false }
        // The loss is about 20, so with the usual step some processors' rounding takes all that is tolerated.
        GradientCheck.expect(adapter.parameters, step: 0.05) { graph in
            graph.crossEntropy(
                adapted.hidden(graph, tokens: tokens, count: 1),
                weight: graph.parameter(adapted.head),
                targets: [1, 2, 3, 4, 5, 6, 7, 8]
            )
        }
    }

    @Test func trainingChangesTheAdapterAndNoBitOfTheBase() throws {
        let model = try model()
        let adapter = try adapter(for: model)
        let adapted = try model.adding(adapter)
        for parameter in model.parameters { parameter.isTrainable = false }
        let (base, start) = (TinyWorld.bits(model.parameters), TinyWorld.bits(adapter.parameters))
        #expect(Set(start.keys).count == 2 * 2 * 7)
        #expect(Set(start.keys).isDisjoint(with: base.keys))
        let optimizer = AdamW(groups: [AdamW.Group(adapter.parameters)])
        let trainer = DataParallelTrainer(shards: 1, optimizer: optimizer, seed: 1)
        var losses: [Float] = []
        for _ in 0..<30 {
            let result = try trainer.step(learningRate: 0.01) { graph, _ in
                let loss = graph.crossEntropy(
                    adapted.hidden(graph, tokens: tokens, count: 1),
                    weight: graph.parameter(adapted.head),
                    targets: [1, 2, 3, 4, 5, 6, 7, 8]
                )
                #expect(model.parameters.allSatisfy { graph.gradient(of: $0) == nil })
                return loss
            }
            losses.append(result.loss)
        }
        print("loss \(losses[0]) -> \(losses[29])")
        #expect(losses[29] < 0.3 * losses[0])
        #expect(TinyWorld.bits(model.parameters) == base)
        let end = TinyWorld.bits(adapter.parameters)
        #expect(end.allSatisfy { $0.value != start[$0.key] })
    }

    @Test func logitsOfAnAdapterOfPEFTAreItsOwn() throws {
        let golden = try SafeTensors(path: Self.fixtures.appending(path: "LowRank/logits.safetensors").path)
        let tokens = try golden.tensor("tokens").values.map { Int32($0) }
        let model = try LanguageModel(LanguageModelSource.open(Self.base))
        let adapter = try LowRankAdapter(contentsOf: Self.adapter, base: model.configuration)
        #expect(adapter.configuration.rank == 3)
        #expect(adapter.configuration.alpha == 5)
        #expect(adapter.configuration.layers == LanguageModel.LinearLayer.allCases)
        let adapted = try model.adding(adapter)
        let worst = (
            worstDifference(logits(model, tokens), try golden.tensor("base").values),
            worstDifference(logits(adapted, tokens), try golden.tensor("adapted").values),
            worstDifference(logits(adapted.merged(), tokens), try golden.tensor("adapted").values)
        )
        print("worst differences to PEFT's logits: base \(worst.0), adapted \(worst.1), merged \(worst.2)")
        #expect(worst.0 < 1e-4)
        #expect(worst.1 < 1e-4)
        #expect(worst.2 < 1e-4)
    }

    @Test func whatIsWrittenIsReadBack() throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "low-rank-\(UUID())").path
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let shape = try LanguageModelSource.open(Self.base).configuration
        let adapter = try LowRankAdapter(contentsOf: Self.adapter, base: shape)
        try adapter.save(to: folder, base: "somewhere/a-model")
        let again = try LowRankAdapter(contentsOf: folder, base: shape)
        #expect(again.configuration == adapter.configuration)
        #expect(TinyWorld.bits(again.parameters) == TinyWorld.bits(adapter.parameters))
        let text = try String(contentsOfFile: "\(folder)/adapter_config.json", encoding: .utf8)
        #expect(text.contains("\"base_model_name_or_path\" : \"somewhere/a-model\""))
        let names = try SafeTensors(path: "\(folder)/adapter_model.safetensors").names
        #expect(names == (try SafeTensors(path: "\(Self.adapter)/adapter_model.safetensors").names))
        // Kept where the check of `make-golden.py` with a folder can read it.
        if let kept = ProcessInfo.processInfo.environment["USERLLM_KEEP_ADAPTER"] { try adapter.save(to: kept) }
    }

    @Test func anAdapterOfAnotherBaseIsNamed() throws {
        let shape = try LanguageModelSource.open(Self.base).configuration
        func reading(_ change: (inout LanguageModelConfiguration) -> Void) -> String {
            var changed = shape
            change(&changed)
            return message { _ = try LowRankAdapter(contentsOf: Self.adapter, base: changed) }
        }
        #expect(reading { _ in } == "no error")
        let wider = reading { $0.width = 64 }
        #expect(wider.contains("layers.0.self_attn.q_proj.lora_A.weight") && wider.contains("[3, 64]"), "\(wider)")
        #expect(reading { $0.layers = 3 }.contains("layers.2.self_attn.q_proj.lora_A.weight"))
        #expect(reading { $0.layers = 1 }.contains("layers.1."))
        let adapter = try LowRankAdapter(contentsOf: Self.adapter, base: shape)
        let other = message { _ = try model().adding(adapter) }
        #expect(other.contains("widths of the LoRA's base is 32 to 64 in q_proj"), "\(other)")
        let deeper = message { _ = try model { $0.layers = 3 }.adding(adapter) }
        #expect(deeper.contains("layers of the LoRA's base is 2, expected 3"), "\(deeper)")
    }

    @Test(arguments: [
        ("\"use_dora\": false", "\"use_dora\": true", "use_dora is true, expected off"),
        ("\"use_rslora\": false", "\"use_rslora\": true", "use_rslora is true"),
        ("\"modules_to_save\": null", "\"modules_to_save\": [\"lm_head\"]", "modules_to_save is an array"),
        ("\"rank_pattern\": {}", "\"rank_pattern\": {\"q_proj\": 4}", "rank_pattern is an object"),
        ("\"layers_to_transform\": null", "\"layers_to_transform\": [1]", "layers_to_transform is an array"),
        ("\"fan_in_fan_out\": false", "\"fan_in_fan_out\": true", "fan_in_fan_out is true"),
        ("\"bias\": \"none\"", "\"bias\": \"all\"", "bias is \"all\", expected none"),
        ("\"peft_type\": \"LORA\"", "\"peft_type\": \"IA3\"", "peft_type is \"IA3\", expected LORA"),
        ("\"r\": 3", "\"r\": 0", "r is 0, expected from 1"),
        ("\"r\": 3", "\"r\": 2.5", "r is 2.5"),
        ("\"r\": 3", "\"rr\": 3", "r is missing"),
        ("\"lora_alpha\": 5", "\"lora_alpha\": -1", "lora_alpha is -1"),
        ("\"q_proj\"", "\"lm_head\"", "target_modules is \"lm_head\", expected a list of q_proj"),
        ("\"q_proj\"", "\"k_proj\"", "target_modules is \"k_proj\""),
        ("\"peft_type\": \"LORA\",", "\"peft_type\": \"LORA\"", "adapter_config.json is damaged"),
    ])
    func whatIsNotReadIsNamed(_ old: String, _ new: String, _ expected: String) throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "low-rank-\(UUID())").path
        defer { try? FileManager.default.removeItem(atPath: folder) }
        try FileManager.default.copyItem(atPath: Self.adapter, toPath: folder)
        let path = "\(folder)/adapter_config.json"
        let text = try String(contentsOfFile: path, encoding: .utf8)
        try #require(text.contains(old))
        try text.replacing(old, with: new).write(toFile: path, atomically: false, encoding: .utf8)
        let shape = try LanguageModelSource.open(Self.base).configuration
        let found = message { _ = try LowRankAdapter(contentsOf: folder, base: shape) }
        #expect(found.contains(expected), "\(found)")
        #expect(found.contains(path))
    }

    @Test func settingsOutOfRangeAreNamed() throws {
        let base = try model().configuration
        func making(_ change: (inout LowRankAdapter.Configuration) -> Void) -> String {
            var configuration = LowRankAdapter.Configuration()
            change(&configuration)
            var random = SeededRandom(seed: 1)
            return message { _ = try LowRankAdapter(configuration: configuration, base: base, using: &random) }
        }
        #expect(making { _ in } == "no error")
        #expect(making { $0.rank = 0 }.contains("rank is 0, expected from 1 to 1024"))
        #expect(making { $0.alpha = .nan }.contains("alpha is nan"))
        #expect(making { $0.layers = [] }.contains("layers is []"))
        #expect(making { $0.layers = [.up, .up] }.contains("layers is [\"up_proj\", \"up_proj\"], expected at least"))
        let missing = message { _ = try LowRankAdapter(contentsOf: "/nowhere/at/all", base: base) }
        #expect(missing.contains("/nowhere/at/all/adapter_config.json: does not exist"))
    }
}
