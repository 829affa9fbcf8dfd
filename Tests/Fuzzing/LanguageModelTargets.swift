import ChatTemplates
import Foundation
import LanguageEngine
import Messages
import ModelFiles
import Tokenization

@testable import UserModels

/// Published language models, as whoever can write a file makes them.
enum LanguageModelTargets {
    static let all = [gguf, chatTemplate]

    /// Small models with drawn weights, of two families.
    private static let examples = ["qwen2-q4_0", "qwen3-q4_1"].map { name in
        URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .appending(path: "Fixtures/LanguageModels/gguf/\(name)/model.gguf")
    }

    /// A GGUF file: its weights, its tokenizer, its template, and what the model says.
    private static let gguf = FuzzTarget(
        name: "gguf",
        longest: 65_536,
        seeds: { try examples.map { Array(try Data(contentsOf: $0)) } },
        words: [
            "general.architecture", "general.alignment", "llama", "qwen2", "qwen3", "llama.block_count",
            ".context_length", ".embedding_length", ".feed_forward_length", ".attention.head_count",
            ".attention.head_count_kv", ".attention.key_length", ".attention.layer_norm_rms_epsilon",
            ".rope.freq_base", ".rope.scaling.type", ".rope.dimension_count", "rope_freqs.weight", "output.weight",
            "token_embd.weight", "tokenizer.ggml.tokens", "tokenizer.ggml.merges", "tokenizer.ggml.token_type",
            "tokenizer.ggml.pre", "tokenizer.chat_template", "split.count",
        ],
        run: { bytes in
            try ScratchFolder.write("model.gguf", bytes)
            let source = try LanguageModelSource.open(ScratchFolder.path + "/model.gguf")
            for name in source.tensorNames {
                let tensor = try source.tensor(name)
                let values = tensor.values(rows: 0..<tensor.rows)
                expect(values.count == tensor.shape.reduce(1, *), "\(name) has not the values of its shape")
            }
            if let tokenizer = try source.tokenizer() {
                let ids = tokenizer.encode("Star Dust  12 caf\u{E9} \u{1F600} <|im_end|>", matchesAddedTokens: true)
                expect(ids.allSatisfy { (0..<tokenizer.vocabularySize).contains(Int($0)) }, "\(ids)")
                _ = tokenizer.decode(ids)
                _ = try PromptFormat(tokenizer: tokenizer, text: source.text, template: nil)
            }
            try source.checkIsFinite()
            var configuration = EngineConfiguration()
            (configuration.pageCount, configuration.positionsPerStep, configuration.threads) = (4, 8, 1)
            let weights = try LanguageModelWeights(source, format: .stored, threads: 1)
            let engine = try Engine(weights: weights, configuration: configuration)
            var request = SequenceRequest(tokens: [0])
            request.maximumTokens = 2
            _ = try engine.submit(request)
            for _ in 0..<4 where !engine.isIdle { _ = try engine.step() }
        }
    )

    /// The text of a template, and a conversation that is written with it.
    private static let chatTemplate = FuzzTarget(
        name: "chat-template",
        longest: 16_384,
        seeds: {
            let folder = examples[0].deletingLastPathComponent().deletingLastPathComponent()
                .deletingLastPathComponent().deletingLastPathComponent().appending(path: "ChatTemplates/templates")
            return try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted().map { name in
                var seed = FuzzSeed()
                seed.text(String(decoding: try Data(contentsOf: folder.appending(path: name)), as: UTF8.self))
                seed.byte(0b10)
                seed.text("You are an assistant.")
                seed.text("Hello <|im_end|>\n")
                return seed.input
            }
        },
        words: ["{{", "}}", "{%", "%}", "messages", "add_generation_prompt", "<|im_start|>", "<|im_end|>", "<think>"],
        run: { bytes in
            var input = FuzzInput(bytes)
            let template = try ChatTemplate.recognised(in: input.text())
            let roles: [ChatRole] = [.system, .user, .assistant]
            let first = input.byte()
            var messages: [ChatMessage] = []
            while !input.isEmpty {
                messages.append(ChatMessage(roles[(Int(first) + messages.count) % roles.count], input.text()))
            }
            let today = try ChatDate(millisecondsSince1970: Int64(first) << 39)
            let pieces = try template.render(messages, addGenerationPrompt: first & 1 == 0, today: today)
            _ = try template.encode(pieces, with: Examples.tokenizer())
        }
    )
}
