import Foundation
import ModelFiles
import Tensors
import Testing
import UserModels

/// Adapters in PEFT's format that are of another model, damaged, or made to do harm.
@Suite struct HostileAdapterTests {
    private static let fixtures = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .appending(path: "Fixtures")
    private static let base = fixtures.appending(path: "LanguageModels/tiny/llama-untied-2-kv-heads-wide-f16").path
    private static let adapter = fixtures.appending(path: "LowRank/adapter").path
    private static let query = "base_model.model.model.layers.0.self_attn.q_proj"

    /// What reading says of a copy of the adapter that something was done to.
    private func message(_ change: (_ folder: String) throws -> Void) throws -> String {
        let folder = FileManager.default.temporaryDirectory.appending(path: "adapter-\(UUID().uuidString)").path
        defer { try? FileManager.default.removeItem(atPath: folder) }
        try FileManager.default.copyItem(atPath: Self.adapter, toPath: folder)
        try change(folder)
        let shape = try LanguageModelSource.open(Self.base).configuration
        do {
            _ = try LowRankAdapter(contentsOf: folder, base: shape)
            return "no error"
        } catch {
            return "\(error)"
        }
    }

    private func messageOfConfiguration(_ text: String) throws -> String {
        try message { try text.write(toFile: "\($0)/adapter_config.json", atomically: false, encoding: .utf8) }
    }

    /// What reading says after its tensors were changed.
    private func messageOfTensors(_ change: (inout [String: Tensor]) -> Void) throws -> String {
        try message { folder in
            let path = "\(folder)/adapter_model.safetensors"
            let file = try SafeTensors(path: path)
            var tensors = Dictionary(uniqueKeysWithValues: try file.names.map { ($0, try file.tensor($0)) })
            change(&tensors)
            let named = tensors.sorted { $0.key < $1.key }.map { NamedTensor($0.key, $0.value) }
            try SafeTensors.write(named, metadata: ["format": "pt"], to: path)
        }
    }

    @Test func tensorsThatAreNotTheAdaptersAreNamed() throws {
        #expect(try messageOfTensors { _ in } == "no error")
        let name = "\(Self.query).lora_A.weight"
        #expect(try messageOfTensors { $0[name] = nil }.contains("has no tensor \(name), which the model needs"))
        let renamed = try messageOfTensors { tensors in
            tensors["base_model.model.model.layers.0.attention.query.lora_A.weight"] = tensors.removeValue(forKey: name)
        }
        #expect(renamed.contains("has no tensor \(name)"))
        let head = "base_model.model.lm_head.lora_A.weight"
        let further = try messageOfTensors { $0[head] = $0[name] }
        #expect(further.contains("has 1 tensors the model does not know, the first is \(head)"))
        let turned = try messageOfTensors { tensors in
            let other = Tensor(shape: [32, 3])
            other.assign([Float](repeating: 1, count: 96))
            tensors[name] = other
        }
        #expect(turned.contains("tensor \(name) has the shape [32, 3], the model needs [3, 32]"))
        for value in [Float.nan, .infinity, -.infinity] {
            let text = try messageOfTensors { tensors in
                var values = tensors[name]?.values ?? []
                values[5] = value
                tensors[name]?.assign(values)
            }
            #expect(text.contains("value 5 of tensor \(name) is \(value), expected a finite number"))
        }
        let missing = try message { folder in
            try FileManager.default.removeItem(atPath: "\(folder)/adapter_model.safetensors")
        }
        #expect(missing.contains("adapter_model.safetensors"))
        let damaged = try message { folder in
            let path = "\(folder)/adapter_model.safetensors"
            let whole = try Data(contentsOf: URL(filePath: path))
            try whole.prefix(whole.count / 2).write(to: URL(filePath: path))
        }
        #expect(damaged.contains("adapter_model.safetensors is not a whole safetensors file"))
    }

    /// The configuration is one that is read, and the tensors are of another.
    @Test func aConfigurationOfOtherTensorsIsNoticed() throws {
        let text = try String(contentsOfFile: "\(Self.adapter)/adapter_config.json", encoding: .utf8)
        let rank = try messageOfConfiguration(text.replacing("\"r\": 3", with: "\"r\": 4"))
        #expect(rank.contains("lora_A.weight has the shape [3, ") && rank.contains("the model needs [4, "))
        let fewer = try messageOfConfiguration(text.replacing("\"down_proj\",", with: ""))
        let first = "base_model.model.model.layers.0.mlp.down_proj"
        #expect(fewer.contains("tensors the model does not know, the first is \(first)"))
    }

    @Test(arguments: [
        ("\"r\": 3", "\"r\": 99999999999999999999", "r is 99999999999999999999, expected from 1 to 1024"),
        ("\"r\": 3", "\"r\": 1e99", "r is 1e99"), ("\"r\": 3", "\"r\": 1025", "r is 1025"),
        ("\"r\": 3", "\"r\": -3", "r is -3"), ("\"r\": 3", "\"r\": \"3\"", "r is \"3\", expected a number"),
        ("\"r\": 3", "\"r\": null", "r is null"), ("\"r\": 3", "\"r\": [3]", "r is an array"),
        ("\"lora_alpha\": 5", "\"lora_alpha\": 1e30", "lora_alpha is 1e30, expected from 1e-06 to"),
        ("\"lora_alpha\": 5", "\"lora_alpha\": 1e400", "adapter_config.json"),
        ("\"lora_alpha\": 5", "\"lora_alpha\": 0", "lora_alpha is 0"),
        ("\"lora_alpha\": 5", "\"lora_alpha\": true", "lora_alpha is true, expected a number"),
        ("\"r\": 3", "\"r\": 3, \"r\": 3", "adapter_config.json is damaged"),
        ("\"bias\": \"none\"", "\"bias\": 0", "bias is 0, expected none"),
        ("\"rank_pattern\": {}", "\"rank_pattern\": \"\"", "rank_pattern is "),
        ("\"use_dora\": false", "\"use_dora\": false, \"use_new_thing\": 1", "use_new_thing is 1, expected off"),
    ])
    func aValueThatCannotBeIsNamed(_ old: String, _ new: String, _ expected: String) throws {
        let text = try String(contentsOfFile: "\(Self.adapter)/adapter_config.json", encoding: .utf8)
        try #require(text.contains(old))
        let found = try messageOfConfiguration(text.replacing(old, with: new))
        #expect(found.contains(expected) && found.contains("adapter_config.json"), "\(found)")
    }

    @Test func textsThatAreNoConfigurationAreNamed() throws {
        let deep = String(repeating: "[", count: 100_000)
        let long = "{\"peft_type\": \"LORA\", \"note\": \"\(String(repeating: "a", count: 2_000_000))\"}"
        for text in ["", "[]", "null", "{", "{}", "{\"peft_type\": \"LORA\"}", "\u{FEFF}{}", deep, long] {
            let found = try messageOfConfiguration(text)
            #expect(found != "no error" && found.contains("adapter_config.json"), "\(found.prefix(300))")
        }
        let modules = #"{"peft_type": "LORA", "r": 3, "lora_alpha": 5, "target_modules": "#
        for value in [#""all-linear""#, "[]", "[3]", "{}", "null", #"["q_proj", ["v_proj"]]"#, #"[".*"]"#] {
            let found = try messageOfConfiguration(modules + value + "}")
            #expect(found.contains("target_modules is ") && found.contains("expected a list of q_proj"), "\(found)")
        }
    }
}
