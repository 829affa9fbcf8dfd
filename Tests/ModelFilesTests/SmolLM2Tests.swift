import Bytes
import Foundation
import TestSupport
import Testing

@testable import ModelFiles

/// The published file; where it is not in the cache these tests are skipped, and counted so.
@Suite(.enabled(if: SmolLM2.path != nil, "\(SmolLM2.missing)"))
struct SmolLM2Tests {
    @Test func isReadAsItIsPublished() throws {
        let source = try LanguageModelSource.open(#require(SmolLM2.path))
        var expected = LanguageModelConfiguration(vocabularySize: 49_152)
        (expected.width, expected.layers, expected.heads, expected.keyValueHeads) = (576, 30, 9, 3)
        (expected.headWidth, expected.feedForwardWidth, expected.maximumLength) = (64, 1_536, 8_192)
        (expected.rotaryBase, expected.normEpsilon, expected.tiesEmbeddings) = (100_000, 1e-5, true)
        (expected.beginID, expected.endIDs) = (1, [2])
        #expect(source.configuration == expected)
        #expect(source.text.endIDs == [2] && source.text.chatTemplate?.contains("named SmolLM") == true)
        guard case .gguf(let tokenizer)? = source.text.tokenizer else {
            Issue.record("no tokenizer")
            return
        }
        #expect(tokenizer.model == "gpt2" && tokenizer.preTokenizer == "smollm" && tokenizer.addsBegin == false)
        #expect(tokenizer.tokens.count == 49_152 && tokenizer.merges.count == 48_900)
        #expect(tokenizer.tokens[2] == "<|im_end|>" && tokenizer.types[2] == .control)
        var types: [StoredType: Int] = [:]
        for name in source.tensorNames { types[try source.tensor(name).type, default: 0] += 1 }
        #expect(types == [.q4_1: 210, .q8_0: 1, .float32: 61])
    }

    /// The digest of all values as the `gguf` package gives them, q and k put back: F32, in the order of `tensorNames`.
    @Test func itsValuesAreThoseOfThePythonPackage() throws {
        let source = try LanguageModelSource.open(#require(SmolLM2.path))
        var digest = SHA256()
        var count = 0
        for name in source.tensorNames {
            let tensor = try source.tensor(name)
            try tensor.checkIsFinite()
            for first in stride(from: 0, to: tensor.rows, by: 4_096) {
                let values = tensor.values(rows: first..<min(first + 4_096, tensor.rows))
                values.withUnsafeBytes { digest.update($0) }
                count += values.count
            }
        }
        #expect(count == 134_515_008)
        #expect(digest.hexDigest() == "2899813afdca87ee1adacf264547c2468ce3b70e8625a1b61650d3ced24a4e4c")
    }
}
