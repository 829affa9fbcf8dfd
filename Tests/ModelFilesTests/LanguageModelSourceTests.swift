import Foundation
import JSON
import Tensors
import Testing

@testable import ModelFiles

@Suite struct LanguageModelSourceTests {
    /// A GGUF file and the folder of the same model give the same: q and k put back, quantised rows decoded.
    @Test(arguments: ["llama", "qwen2", "qwen3"])
    func bothFormatsGiveTheSameModel(family: String) throws {
        let gguf = try LanguageModelSource.open(Fixture.path("\(family).gguf"))
        let folder = try LanguageModelSource.open(Fixture.path(family))
        #expect(gguf.format == .gguf && folder.format == .huggingFace)
        var (found, expected) = (gguf.configuration, folder.configuration)
        if family == "llama" {
            // Of a head of 8 the four divisors are as transformers computes them, in Float32.
            #expect(found.rotaryScaling == expected.rotaryScaling)
            #expect(found.endIDs == [2, 3])
        }
        #expect(gguf.text.beginID == 1 && folder.text.beginID == 1)
        // `generation_config.json` of Qwen2 names one more.
        #expect(folder.text.endIDs == (family == "qwen3" ? [2] : [2, 3]))
        (found.endIDs, expected.endIDs) = ([], [])
        #expect(found == expected)
        #expect(gguf.tensorNames == folder.tensorNames && gguf.tensorNames.count == expected.weights.count)
        for name in gguf.tensorNames {
            let (first, second) = (try gguf.tensor(name), try folder.tensor(name))
            #expect(first.name == name && first.shape == second.shape)
            #expect(try first.tensor().isBitIdentical(to: second.tensor()), "\(name) differs")
        }
        let query = try gguf.tensor("model.layers.0.self_attn.q_proj.weight")
        #expect(query.type == .q8_0)
        #expect(query.rowOrder == (family == "llama" ? .rotaryPairs(headWidth: 8) : .stored))
        let head = try gguf.head()
        #expect(head.name == (family == "llama" ? "lm_head.weight" : "model.embed_tokens.weight"))
        #expect(errorText { _ = try gguf.tensor("lm_head.bias") }.contains("has no tensor lm_head.bias"))
    }

    @Test func theTextOfAGGUFFileIsGiven() throws {
        let text = try LanguageModelSource.open(Fixture.path("llama.gguf")).text
        guard case .gguf(let tokenizer)? = text.tokenizer else {
            Issue.record("no tokenizer")
            return
        }
        #expect(tokenizer.model == "gpt2" && tokenizer.preTokenizer == "llama-bpe" && tokenizer.merges == ["a b"])
        #expect(tokenizer.tokens.count == 48 && tokenizer.tokens[2] == "<|im_end|>" && tokenizer.tokens[7] == "Ġ")
        #expect(tokenizer.types.prefix(5) == [.control, .control, .control, .userDefined, .normal])
        #expect(tokenizer.types.suffix(2) == [.unused, .byte])
        #expect(tokenizer.beginID == 1 && tokenizer.endID == 2 && tokenizer.endOfTurnID == 3)
        #expect(tokenizer.unknownID == nil && tokenizer.paddingID == nil)
        #expect(tokenizer.addsBegin == true && tokenizer.addsEnd == nil && tokenizer.addsSpacePrefix == nil)
        #expect(text.chatTemplate?.hasPrefix("{% for message") == true)
        #expect(text.beginMark == "<|im_start|>" && text.endMark == "<|im_end|>")
    }

    @Test func aFolderMayHaveItsTemplateInAnyOfThreePlaces() throws {
        let templates = try ["llama", "qwen2", "qwen3"].map {
            try LanguageModelSource.open(Fixture.path($0)).text.chatTemplate
        }
        #expect(templates[0] == templates[2] && templates[0]?.hasPrefix("{% for message") == true)
        #expect(templates[1] == "of tokenizer_config.json")
        let text = try LanguageModelSource.open(Fixture.path("qwen2")).text
        #expect(text.tokenizer == nil && text.namedChatTemplates.isEmpty)
    }

    @Test func aPathLeadsToTheModel() throws {
        try withScratchFolder { folder in
            let files = FileManager.default
            #expect(errorText { _ = try LanguageModelSource.open(folder + "/none") }.contains("none: does not exist"))
            #expect(errorText { _ = try LanguageModelSource.open(folder) }.contains("neither config.json nor a .gguf"))
            try files.copyItem(atPath: Fixture.path("qwen2.gguf"), toPath: "\(folder)/a.gguf")
            #expect(try LanguageModelSource.open(folder).configuration.family == .qwen2)
            // The configuration that the file was made from may stand beside it.
            try files.copyItem(atPath: Fixture.path("qwen3/config.json"), toPath: "\(folder)/config.json")
            #expect(try LanguageModelSource.open(folder).format == .gguf)
            try files.copyItem(atPath: Fixture.path("qwen3/model.safetensors"), toPath: "\(folder)/model.safetensors")
            #expect(try LanguageModelSource.open(folder).configuration.family == .qwen3)
            try files.removeItem(atPath: "\(folder)/config.json")
            try files.copyItem(atPath: Fixture.path("qwen2.gguf"), toPath: "\(folder)/b.gguf")
            let several = errorText { _ = try LanguageModelSource.open(folder) }
            #expect(several.contains("has 2 .gguf files, the first is a.gguf; give the file"))
            let other = "\(folder)/model.safetensors"
            #expect(errorText { _ = try LanguageModelSource.open(other) }.contains("does not begin with GGUF"))
        }
    }

    // MARK: - Folders that are not right

    @Test func whatIsWrongInAFolderIsNamed() throws {
        let (index, shard) = ("model.safetensors.index.json", "model-00002-of-00002.safetensors")
        #expect(
            try folderMessage("llama") { try replace("\($0)/\(index)", shard, "../\(shard)") }
                .contains("weight_map.model")
        )
        #expect(
            try folderMessage("llama") { try replace("\($0)/\(index)", shard, "none.safetensors") }
                .contains("none.safetensors: does not exist")
        )
        #expect(
            try folderMessage("llama") { try replace("\($0)/\(index)", "weight_map", "map") }.contains(
                "weight_map is missing"
            )
        )
        #expect(
            try folderMessage("llama") { folder in
                try FileManager.default.removeItem(atPath: "\(folder)/\(shard)")
                try FileManager.default.copyItem(
                    atPath: "\(folder)/model-00001-of-00002.safetensors",
                    toPath: "\(folder)/\(shard)"
                )
            }.contains("another shard has the tensor")
        )
        #expect(
            try folderMessage("qwen2") { try FileManager.default.removeItem(atPath: "\($0)/model.safetensors") }
                .contains("neither model.safetensors nor model.safetensors.index.json")
        )
        #expect(
            try folderMessage("qwen2") { try replace("\($0)/config.json", "\"vocab_size\": 48", "\"vocab_size\": 49") }
                .contains(
                    "tensor model.embed_tokens.weight has the shape [48, 32], its configuration asks for [49, 32]"
                )
        )
        #expect(
            try folderMessage("qwen2") { try replace("\($0)/config.json", "hidden_layers\": 2", "hidden_layers\": 3") }
                .contains("has no tensor model.layers.2.input_layernorm.weight")
        )
        #expect(
            try folderMessage("qwen3") { try replace("\($0)/config.json", "hidden_layers\": 2", "hidden_layers\": 1") }
                .contains("has 11 tensors that a model of its configuration does not have, the first is model.layers.1")
        )
        #expect(
            try folderMessage("qwen2") { try replace("\($0)/generation_config.json", "[2, 3]", "[2, 48]") }
                .contains("eos_token_id is 48, expected a token from 0 to 47")
        )
        #expect(
            try folderMessage("qwen2") { try replace("\($0)/tokenizer_config.json", "\"of ", "1, \"b\": \"") }
                .contains("chat_template is 1, expected a string, or an array")
        )
        #expect(
            try folderMessage("qwen2") { folder in
                // A tied head stored once more, and old tables, are what transformers ignores too.
                let file = try SafeTensors(path: "\(folder)/model.safetensors")
                var tensors = try file.names.map { NamedTensor($0, try file.tensor($0)) }
                tensors.append(NamedTensor("lm_head.weight", try file.tensor("model.embed_tokens.weight")))
                tensors.append(NamedTensor("model.layers.0.self_attn.rotary_emb.inv_freq", Tensor(shape: [4])))
                try SafeTensors.write(tensors, to: "\(folder)/model.safetensors")
            } == "no error"
        )
        #expect(
            try folderMessage("qwen2") { folder in
                let file = try SafeTensors(path: "\(folder)/model.safetensors")
                let tensors = try file.names.map { NamedTensor($0, try file.tensor($0)) }
                let writer = try SafeTensorsWriter(
                    path: "\(folder)/model.safetensors",
                    tensors: tensors.map {
                        .init($0.name, $0.name == "model.norm.weight" ? .int32 : .float32, shape: $0.tensor.shape)
                    }
                )
                for named in tensors {
                    if named.name == "model.norm.weight" {
                        try writer.append([Int32](repeating: 1, count: 32))
                    } else {
                        try writer.append(named.tensor.values)
                    }
                }
                try writer.finish()
            }.hasSuffix("tensor model.norm.weight has the type I32, expected one of F32, F16, BF16")
        )
    }
}

/// What is written is read back: the same values, or rounded ones.
@Suite struct LanguageModelWritingTests {
    @Test(arguments: ["llama.gguf", "qwen2.gguf", "qwen3", "llama"], LanguageModelSource.WrittenType.allCases)
    func aWrittenFolderIsTheSameModel(name: String, type: LanguageModelSource.WrittenType) throws {
        let source = try LanguageModelSource.open(Fixture.path(name))
        try withScratchFolder { folder in
            try source.write(to: folder, as: type)
            let written = try LanguageModelSource.open(folder)
            #expect(written.format == .huggingFace && written.configuration == source.configuration)
            #expect(written.text.endIDs == source.text.endIDs && written.text.beginID == source.text.beginID)
            #expect(written.text.chatTemplate == source.text.chatTemplate)
            for name in source.tensorNames {
                let (first, second) = (try source.tensor(name), try written.tensor(name))
                let values = first.values(rows: 0..<first.rows)
                let found = second.values(rows: 0..<second.rows)
                switch type {
                case .stored: #expect(second.type == (first.type.isPlain ? first.type : .float32))
                case .float32: #expect(second.type == .float32)
                case .bfloat16: #expect(second.type == .bfloat16)
                }
                let expected =
                    type == .bfloat16
                    ? StoredTensor.bfloat16(values).map { Float(bitPattern: UInt32($0) << 16) } : values
                #expect(found.map(\.bitPattern) == expected.map(\.bitPattern), "\(name) differs")
            }
            let json = try #require(
                JSONSerialization.jsonObject(with: Data(contentsOf: URL(filePath: "\(folder)/config.json")))
                    as? [String: Any]
            )
            // The type of the token table, which all fixtures have in bfloat16.
            #expect(json["torch_dtype"] as? String == (type == .float32 ? "float32" : "bfloat16"))
        }
    }

    @Test func specialTokensAndTemplateOfAGGUFFileAreWritten() throws {
        let source = try LanguageModelSource.open(Fixture.path("llama.gguf"))
        try withScratchFolder { folder in
            try source.write(to: folder, as: .stored)
            let file = URL(filePath: "\(folder)/tokenizer_config.json")
            let json = try #require(JSONSerialization.jsonObject(with: Data(contentsOf: file)) as? [String: Any])
            #expect(json["bos_token"] as? String == "<|im_start|>" && json["eos_token"] as? String == "<|im_end|>")
            #expect(json["unk_token"] == nil && json["model_max_length"] as? Int == 512)
            #expect(json["chat_template"] as? String == source.text.chatTemplate)
        }
    }
}
