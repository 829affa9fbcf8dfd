import Foundation
import TestSupport
import Testing
import Tokenization

@Suite struct GGUFTokenizerTests {
    /// A vocabulary of all bytes, "ab", a control token and one that a user defined.
    private static func small(_ change: (inout GGUFVocabulary) -> Void = { _ in }) -> GGUFVocabulary {
        var data = GGUFVocabulary(
            model: "gpt2",
            preTokenizer: "smollm",
            tokens: alphabet + ["ab", "<|end|>", "<tool>", "[PAD259]"],
            types: [Int32](repeating: 1, count: 257) + [3, 4, 5],
            merges: ["a b"],
            beginID: 257,
            endID: 257
        )
        change(&data)
        return data
    }

    /// GPT-2's characters for the bytes.
    static let alphabet: [String] = {
        var next: UInt32 = 0x100
        return (UInt32(0)...255).map { byte in
            let isPrintable = (0x21...0x7E).contains(byte) || (0xA1...0xAC).contains(byte) || byte >= 0xAE
            defer { if !isPrintable { next += 1 } }
            return String(Unicode.Scalar(isPrintable ? byte : next) ?? " ")
        }
    }()

    private func message(_ change: (inout GGUFVocabulary) -> Void) -> String {
        do {
            _ = try Tokenizer(gguf: Self.small(change))
            return "no error"
        } catch {
            return error.description
        }
    }

    @Test func tokensHaveTheirKinds() throws {
        let tokenizer = try Tokenizer(gguf: Self.small())
        #expect(tokenizer.encode("ab<|end|><tool>") == [256, 257, 258])
        #expect(tokenizer.encode("<|end|>", matchesAddedTokens: false).count == 7)
        #expect(tokenizer.addedTokens.map(\.isSpecial) == [true, false])
        #expect(tokenizer.decode([259]) == "" && tokenizer.vocabularySize == 260)
        #expect(tokenizer.encode("ab", addsSpecialTokens: true) == [256])
        let framed = try Tokenizer(gguf: Self.small { ($0.addsBegin, $0.addsEnd) = (true, true) })
        #expect(framed.encode("ab", addsSpecialTokens: true) == [257, 256, 257])
        #expect(framed.encode("ab") == [256])
    }

    @Test func eachPreTokenizerSplitsItsWay() throws {
        func digits(_ name: String) throws -> [Int32] {
            let data = Self.small {
                $0.preTokenizer = name
                $0.tokens[257] = "12"
                $0.types[257] = 1
                $0.tokens[258] = "123"
                $0.types[258] = 1
                $0.tokens[259] = "1234"
                $0.types[259] = 1
                $0.merges = ["1 2", "12 3", "123 4"]
                $0.addsBegin = false
            }
            return try Tokenizer(gguf: data).encode("1234")
        }
        let four = Int32(Self.alphabet.firstIndex(of: "4") ?? 0)
        #expect(try digits("gpt-2") == [259])
        #expect(try digits("smollm").count == 4)
        #expect(try digits("qwen2").count == 4)
        #expect(try digits("llama-bpe") == [258, four])
        let composed = try Tokenizer(gguf: Self.small { $0.preTokenizer = "qwen2" })
        #expect(composed.decode(composed.encode("e\u{301}")).unicodeScalars.count == 1)
        let begun = try Tokenizer(gguf: Self.small { $0.preTokenizer = "llama-bpe" })
        #expect(begun.encode("ab", addsSpecialTokens: true) == [257, 256])
    }

    @Test func whatIsNotSupportedIsNamed() {
        #expect(message { $0.model = "llama" }.hasPrefix("tokenizer.ggml.model is \"llama\""))
        #expect(message { $0.preTokenizer = "tekken" }.hasPrefix("tokenizer.ggml.pre is \"tekken\""))
        #expect(message { $0.preTokenizer = nil }.contains("tokenizer.ggml.pre is missing"))
        #expect(message { $0.types[3] = 6 }.contains("tokenizer.ggml.token_type[3] is 6"))
        #expect(message { $0.types[3] = 2 }.contains("tokenizer.ggml.token_type[3] is 2"))
        #expect(message { $0.types[3] = .max }.contains("tokenizer.ggml.token_type[3]"))
        #expect(message { $0.types.removeLast() }.contains("260 tokens and 259 types"))
        #expect(message { ($0.tokens, $0.types) = ([], []) }.contains("has 0 tokens"))
        #expect(message { $0.tokens[3] = "" }.contains("tokenizer.ggml.tokens[3]"))
        #expect(message { $0.tokens[3] = "東" }.contains("tokenizer.ggml.tokens[3]"))
        #expect(message { $0.tokens[258] = "<|end|>" }.contains("tokenizer.ggml.tokens[258]"))
        let long = String(repeating: "x", count: 1_025)
        #expect(message { $0.tokens[258] = long }.contains("tokenizer.ggml.tokens[258]"))
        for merge in ["ab", "a  b", "a b c", "", " ", "a c", "a 東"] {
            #expect(message { $0.merges = [merge] }.contains("tokenizer.ggml.merges[0]"))
        }
        for id: Int32? in [nil, -1, 260, .max, 259] {
            #expect(message { ($0.addsBegin, $0.beginID) = (true, id) }.contains("tokenizer.ggml.bos_token_id"))
        }
        #expect(message { ($0.addsEnd, $0.endID) = (true, nil) }.contains("tokenizer.ggml.eos_token_id"))
        #expect(message { $0.addsSpacePrefix = true }.contains("tokenizer.ggml.add_space_prefix"))
    }

    /// The real vocabulary against `tokenizers` with the published normalizer and pre-tokenizer.
    @Test(.enabled(if: SmolLM2.path != nil, "\(SmolLM2.missing)"))
    func smolLM2HasTheIdsOfTokenizers() throws {
        struct Golden: Decodable {
            var texts: [String]
            var ids: [String: [[Int32]]]
        }
        let golden = try JSONDecoder().decode(
            Golden.self,
            from: Data(contentsOf: GoldenTokenizerTests.folder.appending(path: "ids.json"))
        )
        let wanted = try #require(golden.ids["smollm2"])
        let tokenizer = try Tokenizer(gguf: GGUFMetadata.vocabulary(of: #require(SmolLM2.path)))
        #expect(tokenizer.vocabularySize == 49_152 && tokenizer.addedTokens.count == 17)
        let again = try Tokenizer(json: Data(tokenizer.json().utf8))
        for (text, ids) in zip(golden.texts, wanted) {
            #expect(tokenizer.encode(text) == ids)
            #expect(again.encode(text) == ids)
        }
    }
}
