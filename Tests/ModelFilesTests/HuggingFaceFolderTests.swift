import Foundation
import ModelFiles
import Tensors
import Testing

/// Folders as people have them: with files beside the model's, or other ones in their place.
@Suite struct HuggingFaceFolderTests {
    private static let table = "model.embed_tokens.weight"

    private func write(_ text: String, _ file: String) throws {
        try text.write(toFile: file, atomically: true, encoding: .utf8)
    }

    // MARK: - Weights

    /// A tied model's folder with a head of its own, as `change` makes it of the token table.
    private func withHead(_ change: @escaping (Tensor) -> Tensor) throws -> String {
        try folderMessage("qwen3") { folder in
            let file = try SafeTensors(path: "\(folder)/model.safetensors")
            var tensors = try file.names.map { NamedTensor($0, try file.tensor($0)) }
            tensors.append(NamedTensor("lm_head.weight", change(try file.tensor(Self.table))))
            try SafeTensors.write(tensors, to: "\(folder)/model.safetensors")
        }
    }

    /// `transformers` takes a stored head that differs for the model's own, whatever the configuration says.
    @Test func aTiedHeadThatDiffersIsNamed() throws {
        #expect(try withHead { $0 } == "no error")
        let expected = "tie_word_embeddings is true, expected false, as lm_head.weight differs from \(Self.table)"
        let other = try withHead { table in
            let values = table.values
            return Tensor(values.dropLast() + [values[values.count - 1] + 1], shape: table.shape)
        }
        #expect(other.hasSuffix("config.json: \(expected)"))
        let narrow = try withHead { Tensor($0.values, shape: [$0.shape[1], $0.shape[0]]) }
        #expect(narrow.hasSuffix("config.json: \(expected)"))
    }

    @Test func aTiedHeadOfAnotherTypeIsNamed() throws {
        let message = try folderMessage("qwen3") { folder in
            let file = try SafeTensors(path: "\(folder)/model.safetensors")
            let tensors = try file.names.map { NamedTensor($0, try file.tensor($0)) }
            let table = try file.tensor(Self.table)
            let writer = try SafeTensorsWriter(
                path: "\(folder)/model.safetensors",
                tensors: tensors.map { .init($0.name, .float32, shape: $0.tensor.shape) }
                    + [.init("lm_head.weight", .bfloat16, shape: table.shape)]
            )
            for named in tensors { try writer.append(named.tensor.values) }
            try writer.append([UInt16](repeating: 0, count: table.count))
            try writer.finish()
        }
        #expect(message.contains("tie_word_embeddings is true, expected false, as lm_head.weight differs"))
    }

    @Test func otherFormsOfWeightsAreNamed() throws {
        let message = try folderMessage("qwen2") { folder in
            try FileManager.default.removeItem(atPath: "\(folder)/model.safetensors")
            try write("", "\(folder)/pytorch_model-00001-of-00002.bin")
            try write("", "\(folder)/pytorch_model-00002-of-00002.bin")
        }
        #expect(message.contains("but pytorch_model-00001-of-00002.bin, which is not read"))
        #expect(message.contains("save_pretrained(FOLDER, safe_serialization=True)"))
        // The configuration that the files were made from may stand beside them.
        let several = try folderMessage("qwen2") { folder in
            try FileManager.default.removeItem(atPath: "\(folder)/model.safetensors")
            for name in ["q4", "q8"] {
                try FileManager.default.copyItem(atPath: Fixture.path("qwen2.gguf"), toPath: "\(folder)/\(name).gguf")
            }
        }
        #expect(several.contains("has 2 .gguf files, the first is q4.gguf; give the file of the model"))
    }

    // MARK: - Text

    private func text(_ family: String = "qwen2", _ change: (String) throws -> Void) throws -> LanguageModelText {
        try withChangedFolder(family, change) { try LanguageModelSource.open($0).text }
    }

    @Test func marksAreReadInEveryForm() throws {
        func marks(_ json: String) throws -> [String?] {
            let text = try text { try write(json, "\($0)/tokenizer_config.json") }
            return [text.beginMark, text.endMark]
        }
        #expect(try marks(#"{"bos_token": "<s>", "eos_token": "</s>"}"#) == ["<s>", "</s>"])
        let object = #"{"content": "<s>", "lstrip": false, "__type": "AddedToken"}"#
        #expect(try marks(#"{"bos_token": \#(object), "eos_token": {"content": "</s>"}}"#) == ["<s>", "</s>"])
        // What is null is none; what is not there is left to the class, of which some have none.
        #expect(try marks(#"{"bos_token": null, "eos_token": null}"#) == ["", nil])
        #expect(try marks(#"{"tokenizer_class": "PreTrainedTokenizerFast"}"#) == ["", nil])
        #expect(try marks(#"{"tokenizer_class": "LlamaTokenizer"}"#) == [nil, nil])
        #expect(try marks("{}") == [nil, nil])
        for (json, key) in [(#"{"bos_token": 1}"#, "bos_token is 1"), (#"{"eos_token": {}}"#, "eos_token.content is")] {
            #expect(errorText { _ = try marks(json) }.contains("tokenizer_config.json: \(key)"))
        }
    }

    @Test func severalTemplatesWithoutADefaultAreNamed() throws {
        func templates(_ names: [String]) -> String {
            let list = names.map { #"{"name": "\#($0)", "template": "of \#($0)"}"# }.joined(separator: ", ")
            return #"{"chat_template": [\#(list)]}"#
        }
        let several = try text { try write(templates(["rag", "tool_use"]), "\($0)/tokenizer_config.json") }
        #expect(several.chatTemplate == nil && several.namedChatTemplates == ["rag", "tool_use"])
        let usual = try text { try write(templates(["rag", "default"]), "\($0)/tokenizer_config.json") }
        #expect(usual.chatTemplate == "of default" && usual.namedChatTemplates.isEmpty)
        // As `transformers` 5 writes them.
        let files = try text { folder in
            try write("{}", "\(folder)/tokenizer_config.json")
            try FileManager.default.createDirectory(
                atPath: "\(folder)/additional_chat_templates",
                withIntermediateDirectories: true
            )
            try write("of rag", "\(folder)/additional_chat_templates/rag.jinja")
        }
        #expect(files.chatTemplate == nil && files.namedChatTemplates == ["rag"])
    }

    // MARK: - Writing

    /// A folder of Hugging Face's cache: every file is a link into `blobs`, which lies beside it.
    @Test func whatLinksLeadToIsCopied() throws {
        try withScratchFolder { folder in
            let files = FileManager.default
            let (blobs, snapshot) = ("\(folder)/blobs", "\(folder)/snapshots/1")
            try files.createDirectory(atPath: blobs, withIntermediateDirectories: true)
            let templates = "\(snapshot)/additional_chat_templates"
            try files.createDirectory(atPath: templates, withIntermediateDirectories: true)
            for name in try files.contentsOfDirectory(atPath: Fixture.path("qwen3")) {
                try files.copyItem(atPath: Fixture.path("qwen3/\(name)"), toPath: "\(blobs)/\(name)")
                try files.createSymbolicLink(atPath: "\(snapshot)/\(name)", withDestinationPath: "../../blobs/\(name)")
            }
            try write("of rag", "\(blobs)/rag")
            try files.createSymbolicLink(
                atPath: "\(templates)/rag.jinja",
                withDestinationPath: "../../../blobs/rag"
            )
            let out = "\(folder)/out"
            try files.createDirectory(atPath: out, withIntermediateDirectories: true)
            let source = try LanguageModelSource.open(snapshot)
            try source.write(to: out, as: .stored)
            try files.removeItem(atPath: blobs)
            let written = try LanguageModelSource.open(out)
            #expect(written.text == source.text && written.text.chatTemplate != nil)
            let template = try String(contentsOfFile: "\(out)/additional_chat_templates/rag.jinja", encoding: .utf8)
            #expect(template == "of rag")
            for name in try files.contentsOfDirectory(atPath: out) {
                let type = try files.attributesOfItem(atPath: "\(out)/\(name)")[.type] as? FileAttributeType
                #expect(type == (name == "additional_chat_templates" ? .typeDirectory : .typeRegular), "\(name)")
            }
        }
    }

    /// Tokenizers that are not read here are read by `transformers`, so they are not lost.
    @Test func tokenizersOfEveryFormAreCopied() throws {
        let names = ["vocab.json", "merges.txt", "tokenizer.model", "added_tokens.json", "special_tokens_map.json"]
        try withChangedFolder(
            "qwen2",
            { folder in for name in names { try write("of \(name)", "\(folder)/\(name)") } },
            { folder in
                let out = "\(folder)/out"
                try FileManager.default.createDirectory(atPath: out, withIntermediateDirectories: true)
                try LanguageModelSource.open(folder).write(to: out, as: .stored)
                for name in names {
                    #expect(try String(contentsOfFile: "\(out)/\(name)", encoding: .utf8) == "of \(name)")
                }
            }
        )
    }
}
