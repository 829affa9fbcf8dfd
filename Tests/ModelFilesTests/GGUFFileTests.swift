import Foundation
import Testing

@testable import ModelFiles

@Suite struct GGUFFileTests {
    private func open(_ builder: GGUFBuilder) throws -> LanguageModelSource {
        try GGUFFile(Data(builder.bytes), path: "m.gguf").languageModel()
    }

    private func error(_ architecture: String = "llama", _ change: (inout GGUFBuilder) -> Void) -> String {
        var builder = GGUFBuilder.model(architecture)
        change(&builder)
        return errorText { _ = try open(builder) }
    }

    @Test func everyTypeOfValueIsRead() throws {
        let metadata = try GGUFFile(path: Fixture.path("types.gguf")).metadata
        let integers = [
            "uint8": 255, "int8": -128, "uint16": 65_535, "int16": -32_768, "uint32": Int(UInt32.max),
            "int32": Int(Int32.min), "int64": Int.min,
        ]
        for (name, value) in integers { #expect(try metadata.integer("test.\(name)") == value) }
        #expect(errorText { _ = try metadata.integer("test.uint64") }.contains("test.uint64 is a value of type uint64"))
        #expect(try metadata.number("test.float32") == 0.1 && metadata.number("test.float64") == 0)
        #expect(try metadata.number("test.int8") == -128)
        #expect(try metadata.bool("test.bool") == true && metadata.string("test.string") == "é\n🙂")
        #expect(try metadata.strings("test.strings", atMost: 3) == ["a", "", "ß"])
        #expect(try metadata.integers("test.integers", atMost: 3) == [1, -2, 3])
        #expect(metadata.contains("test.nested") && !metadata.contains("test.none"))
        #expect(try metadata.integer("test.none") == nil && metadata.strings("test.none", atMost: 1) == nil)
        #expect(metadata.keys.first == "general.architecture" && metadata.keys.count == 17)
        for (key, text) in [
            ("test.string", "is é\\n🙂, expected a whole number"), ("test.strings", "is an array of 3 values"),
        ] {
            #expect(errorText { _ = try metadata.integer(key) }.contains(text))
        }
        #expect(errorText { _ = try metadata.strings("test.strings", atMost: 2) }.contains("at most 2 strings"))
        #expect(errorText { _ = try metadata.integers("test.floats", atMost: 2) }.contains("whole numbers"))
        #expect(errorText { _ = try metadata.string("test.bool") }.contains("test.bool is true, expected a string"))
        #expect(errorText { _ = try metadata.bool("test.uint8") }.contains("test.uint8 is 255, expected true or false"))
    }

    @Test(arguments: ["llama", "qwen2", "qwen3"])
    func aSmallModelIsRead(architecture: String) throws {
        var builder = GGUFBuilder.model(architecture)
        let zeros = { (count: Int) in [UInt8](repeating: 0, count: 4 * count) }
        if architecture == "qwen2" {
            for (name, count) in [("q", 32), ("k", 16), ("v", 16)] {
                builder.tensors.append(
                    .init(name: "blk.0.attn_\(name).bias", dimensions: [UInt64(count)], bytes: zeros(count))
                )
            }
        }
        if architecture == "qwen3" {
            for name in ["q", "k"] {
                builder.tensors.append(
                    .init(name: "blk.0.attn_\(name)_norm.weight", dimensions: [16], bytes: zeros(16))
                )
            }
        }
        let source = try open(builder)
        #expect(source.configuration.rotaryBase == 10_000 && source.configuration.tiesEmbeddings)
        #expect(source.text.endIDs == [2] && source.text.beginID == nil && source.text.chatTemplate == nil)
        // A head of its own.
        builder.tensors.append(.init(name: "output.weight", dimensions: [32, 4], bytes: zeros(128)))
        #expect(try !open(builder).configuration.tiesEmbeddings)
        builder.tensors.removeAll { $0.name.hasPrefix("blk.0.attn_k") }
        #expect(errorText { _ = try open(builder) }.contains("has no tensor blk.0.attn_k"))
    }

    /// The biases of q and k are put back as the rows are.
    @Test func biasesOfLlamaArePutBack() throws {
        var builder = GGUFBuilder.model()
        for (name, count) in [("q", 32), ("k", 16), ("v", 16), ("output", 32)] {
            let values = (0..<count).map { Float($0) }
            builder.tensors.append(
                .init(
                    name: "blk.0.attn_\(name).bias",
                    dimensions: [UInt64(count)],
                    bytes: values.withUnsafeBytes { Array($0) }
                )
            )
        }
        let source = try open(builder)
        #expect(source.configuration.hasInputBiases && source.configuration.hasOutputBias)
        let key = try source.tensor("model.layers.0.self_attn.k_proj.bias")
        #expect(key.values(rows: 0..<1) == [0, 2, 4, 6, 8, 10, 12, 14, 1, 3, 5, 7, 9, 11, 13, 15])
        let value = try source.tensor("model.layers.0.self_attn.v_proj.bias")
        #expect(value.values(rows: 0..<1) == (0..<16).map { Float($0) })
        builder.tensors.removeLast()
        #expect(errorText { _ = try open(builder) }.contains("has no tensor blk.0.attn_output.bias"))
    }

    @Test func otherAlignmentsAreRead() throws {
        for alignment in [8, 64, 4_096] {
            var builder = GGUFBuilder.model()
            builder.alignment = alignment
            builder.set("general.alignment", .uint32(UInt32(alignment)))
            #expect(try open(builder).configuration.width == 32)
        }
        for wrong: UInt32 in [0, 4, 24, 1 << 21, .max] {
            #expect(error { $0.set("general.alignment", .uint32(wrong)) }.contains("general.alignment is \(wrong)"))
        }
    }

    struct Refused: Sendable {
        let key: String
        let value: GGUFBuilder.Value?
        let message: String
    }

    @Test(arguments: [
        Refused(
            key: "general.architecture",
            value: .string("gemma"),
            message: "general.architecture is gemma, expected llama or"
        ),
        Refused(key: "general.architecture", value: nil, message: "general.architecture is missing"),
        Refused(key: "general.type", value: .string("adapter"), message: "general.type is adapter, expected model"),
        Refused(key: "split.count", value: .uint32(2), message: "split.count is 2, expected 1"),
        Refused(key: "llama.block_count", value: nil, message: "llama.block_count is missing, expected a whole number"),
        Refused(key: "llama.block_count", value: .uint32(0), message: "num_hidden_layers is 0"),
        Refused(key: "llama.block_count", value: .uint32(.max), message: "num_hidden_layers is 4294967295"),
        Refused(
            key: "llama.block_count",
            value: .string("1"),
            message: "llama.block_count is 1, expected a whole number"
        ),
        Refused(key: "llama.attention.head_count", value: .uint32(0), message: "llama.attention.head_count is 0"),
        Refused(key: "llama.attention.head_count", value: .uint32(3), message: "head_count is 3, expected a divisor"),
        Refused(
            key: "llama.attention.head_count",
            value: .int32s([2]),
            message: "is an array of 1 values of type int32"
        ),
        Refused(key: "llama.attention.head_count_kv", value: .uint32(0), message: "num_key_value_heads is 0"),
        Refused(
            key: "llama.attention.key_length",
            value: .uint32(8),
            message: "blk.0.attn_q.weight has the shape [32, 32]"
        ),
        Refused(key: "llama.attention.value_length", value: .uint32(8), message: "value_length is 8, expected 16"),
        Refused(key: "llama.rope.dimension_count", value: .uint32(8), message: "dimension_count is 8, expected 16"),
        Refused(key: "llama.rope.freq_base", value: .float32(.nan), message: "rope_theta is nan"),
        Refused(
            key: "llama.rope.scaling.type",
            value: .string("yarn"),
            message: "rope.scaling.type is yarn, expected none"
        ),
        Refused(
            key: "llama.rope.scaling.factor",
            value: .float32(4),
            message: "rope.scaling.factor is 4.0, expected 1"
        ),
        Refused(key: "llama.expert_count", value: .uint32(8), message: "llama.expert_count is 8, expected 0"),
        Refused(key: "llama.attention.sliding_window", value: .uint32(512), message: "sliding_window is 512"),
        Refused(
            key: "llama.attention.causal",
            value: .bool(0),
            message: "llama.attention.causal is false, expected true"
        ),
        Refused(
            key: "llama.attention.scale",
            value: .float32(2),
            message: "llama.attention.scale is 2.0, expected no such key"
        ),
        Refused(key: "llama.vocab_size", value: .uint32(5), message: "llama.vocab_size is 5, expected 4"),
        Refused(
            key: "llama.attention.layer_norm_rms_epsilon",
            value: nil,
            message: "layer_norm_rms_epsilon is missing, expected a number"
        ),
        Refused(key: "tokenizer.ggml.tokens", value: .strings(["a"]), message: "tokenizer.ggml.token_type is"),
        Refused(
            key: "tokenizer.ggml.token_type",
            value: .int32s([1, 1, 3, 0]),
            message: "token_type[3] is 0, expected from 1"
        ),
        Refused(key: "tokenizer.ggml.model", value: nil, message: "tokenizer.ggml.model is missing"),
        Refused(
            key: "tokenizer.ggml.eos_token_id",
            value: .uint32(4),
            message: "eos_token_id is 4, expected a token from 0 to 3"
        ),
        Refused(
            key: "tokenizer.ggml.add_bos_token",
            value: .bool(2),
            message: "add_bos_token is neither true nor false"
        ),
        Refused(
            key: "tokenizer.chat_template",
            value: .uint32(1),
            message: "tokenizer.chat_template is 1, expected a string"
        ),
        Refused(
            key: "tokenizer.chat_template",
            value: .raw(8, [2, 0, 0, 0, 0, 0, 0, 0, 0xC3, 0x28]),
            message: "tokenizer.chat_template at byte"
        ),
        Refused(key: "x", value: .raw(13, []), message: "x has the type 13, expected 0 to 12"),
    ])
    func whatIsNotSupportedIsNamed(refused: Refused) {
        #expect(error { $0.set(refused.key, refused.value) }.contains(refused.message))
    }

    @Test func keysWithoutEffectAreTaken() {
        let harmless: [(String, GGUFBuilder.Value)] = [
            ("llama.rope.scaling.type", .string("none")), ("llama.attention.causal", .bool(1)),
            ("llama.rope.dimension_count", .uint32(16)), ("llama.expert_count", .uint32(0)), ("general.name", .bool(9)),
            ("llama.rope.scaling.factor", .float32(1)), ("quantize.imatrix.file", .string("")),
        ]
        for (key, value) in harmless { #expect(error { $0.set(key, value) } == "no error") }
    }

    @Test func tensorsThatAreNotRightAreNamed() {
        #expect(
            error { $0.tensors[2].type = 10 }.contains("tensor blk.0.attn_q.weight has the type Q2_K (10), expected")
        )
        #expect(
            error { $0.tensors[2].type = 99 }.contains(
                "tensor blk.0.attn_q.weight has the type 99, expected one of F32"
            )
        )
        #expect(error { $0.tensors[2].type = 12 }.contains("rows are not whole blocks of 256 values of Q4_K"))
        #expect(error { $0.tensors[3].name = "blk.0.attn_qkv.weight" }.contains("the first is blk.0.attn_qkv.weight"))
        #expect(
            error { $0.tensors[3].name = "blk.0.attn_q.weight" }.contains("has the tensor blk.0.attn_q.weight twice")
        )
        #expect(
            error { $0.tensors[1].dimensions = [1, 32] }.contains(
                "has the shape [32, 1], its configuration asks for [32]"
            )
        )
        #expect(error { $0.tensors[1].dimensions = [] }.contains("has 0 dimensions, expected 1 to 4"))
        #expect(error { $0.tensors[1].dimensions = [1, 1, 1, 1, 32] }.contains("has 5 dimensions"))
        for size: UInt64 in [0, 1 << 31, 1 << 32, 1 << 62, .max] {
            #expect(error { $0.tensors[1].dimensions = [size] }.contains("has a dimension of \(size)"))
        }
        #expect(error { $0.tensors[1].dimensions = [1 << 30, 1 << 30, 1 << 30] }.contains("has a dimension of"))
        #expect(error { $0.tensors[1].dimensions = [1 << 30] }.contains("of 4294967296 bytes lies at"))
        for offset: UInt64 in [1, 31, 1 << 40, .max - 31, .max] {
            #expect(error { $0.tensors[1].offset = offset }.contains("lies at \(offset), expected a multiple of 32"))
        }
        #expect(error { $0.tensors[1].offset = 0 }.contains("overlap"))
        #expect(
            error {
                $0.tensors.append(
                    .init(name: "rope_freqs.weight", dimensions: [4], bytes: [UInt8](repeating: 0, count: 16))
                )
            }.contains("rope_freqs.weight has the shape [4], its configuration asks for [8]")
        )
        #expect(
            error {
                $0.tensors.append(
                    .init(name: "rope_freqs.weight", dimensions: [8], bytes: [UInt8](repeating: 0, count: 32))
                )
            }.contains("rope_freqs.weight is 0.0, expected from")
        )
    }

    /// Without merges each byte would be a token of its own, silently.
    @Test func mergesThatAreMissingAreNamed() throws {
        #expect(
            error { $0.set("tokenizer.ggml.merges", nil) }.contains(
                "tokenizer.ggml.merges is missing, expected the merges of byte-level BPE, as tokenizer.ggml.model is gpt2"
            )
        )
        // Of other models, which have none, whoever makes the tokenizer says that they are not read.
        #expect(
            error {
                $0.set("tokenizer.ggml.merges", nil)
                $0.set("tokenizer.ggml.model", .string("llama"))
            } == "no error"
        )
    }

    @Test func marksAndTemplatesAreThoseOfTheFile() throws {
        var builder = GGUFBuilder.model()
        var text = try open(builder).text
        #expect(text.beginMark == "" && text.endMark == "c")
        builder.set("tokenizer.ggml.bos_token_id", .uint32(3))
        builder.set("tokenizer.chat_templates", .strings(["tool_use", "rag"]))
        text = try open(builder).text
        #expect(text.beginMark == "d" && text.chatTemplate == nil && text.namedChatTemplates == ["tool_use", "rag"])
        builder.set("tokenizer.chat_template", .string("{{ messages }}"))
        text = try open(builder).text
        #expect(text.chatTemplate == "{{ messages }}" && text.namedChatTemplates.isEmpty)
    }

    /// The last value of a file of whole pages: behind it is no byte to load, and here none that may be.
    @Test func aValueOfAnotherTypeAtTheEndIsNotLoaded() throws {
        let page = Int(sysconf(Int32(_SC_PAGESIZE)))
        var builder = GGUFBuilder()
        (builder.keyCount, builder.alignment) = (2, 1)
        builder.keys = [("llama.attention.causal", .string(""))]
        // Another key fills the page up: its name's length, its name, its type and the length of its value.
        let filling = page - builder.bytes.count - (8 + 4 + 4 + 8)
        builder.keys.insert(("fill", .string(String(repeating: "x", count: filling))), at: 0)
        let bytes = builder.bytes
        #expect(bytes.count == page)
        let mapped = mmap(nil, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
        let start = try #require(mapped == MAP_FAILED ? nil : mapped)
        defer { munmap(start, 2 * page) }
        start.copyMemory(from: bytes, byteCount: page)
        #expect(mprotect(start + page, page, PROT_NONE) == 0)
        let content = Data(bytesNoCopy: start, count: page, deallocator: .none)
        let metadata = try GGUFFile(content, path: "m.gguf").metadata
        let key = "llama.attention.causal"
        #expect(errorText { _ = try metadata.bool(key) }.contains("\(key) is , expected true or false"))
        #expect(errorText { _ = try metadata.integer(key) }.contains("\(key) is , expected a whole number"))
        #expect(errorText { _ = try metadata.number(key) }.contains("\(key) is , expected a number"))
        #expect(metadata.shown(key) == "" && errorText { _ = try metadata.integers(key, atMost: 1) } != "no error")
    }

    @Test func headersThatAreNotRightAreNamed() {
        #expect(error { $0.magic = Array("GGML".utf8) }.contains("does not begin with GGUF"))
        #expect(error { $0.version = 2 }.contains("GGUF.version is 2, expected 3 in little-endian order"))
        #expect(error { $0.version = UInt32(3).byteSwapped }.contains("GGUF.version is 3 in big-endian order"))
        for count: UInt64 in [1 << 16, 1 << 32, .max] {
            #expect(error { $0.tensorCount = count }.contains("the number of tensors is \(count)") || count == 1 << 16)
            #expect(error { $0.keyCount = count }.contains("the number of keys is \(count)"))
        }
        #expect(error { $0.tensorCount = 12 } != "no error")
        #expect(
            error { $0.keys.append(("general.architecture", .uint32(1))) }.contains(
                "the key general.architecture twice"
            )
        )
        for length: UInt64 in [1 << 20, 1 << 63, .max] {
            let bytes = withUnsafeBytes(of: length.littleEndian) { Array($0) }
            #expect(error { $0.set("s", .raw(8, bytes)) }.contains("the length of s is \(length), expected at most"))
            #expect(
                error { $0.set("s", .raw(9, [4, 0, 0, 0] + bytes)) }.contains(
                    "the number of elements of s is \(length)"
                )
            )
            #expect(
                error { $0.set("s", .raw(9, [8, 0, 0, 0] + bytes)) }.contains(
                    "the number of elements of s is \(length)"
                )
            )
        }
        // Arrays within arrays within arrays.
        let deep = (0..<6).reduce(into: [UInt8]()) { bytes, _ in bytes += [9, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0] }
        #expect(
            error { $0.set("s", .raw(9, deep + [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])) }.contains("more than 4 deep")
        )
        for count in [0, 3, 4, 8, 23] {
            #expect(
                errorText { _ = try GGUFFile(Data(GGUFBuilder.model().bytes.prefix(count)), path: "m") } != "no error"
            )
        }
        #expect(errorText { _ = try GGUFFile(path: "/none") }.contains("/none: does not exist"))
        #expect(errorText { _ = try GGUFFile(path: "/dev/null") }.contains("is no file"))
    }
}
