import Foundation
import Testing
import Tokenization

@Suite struct TokenizerFileTests {
    private func json(_ change: (inout [String: Any]) -> Void) throws -> Data {
        let tokenizer = try BPETrainer.train(["aaab", "aaab", "ab"], vocabularySize: 259)
        var root = try #require(
            try JSONSerialization.jsonObject(with: Data(tokenizer.json().utf8)) as? [String: Any]
        )
        change(&root)
        return try JSONSerialization.data(withJSONObject: root)
    }

    private func model(_ root: inout [String: Any], _ key: String, _ value: Any) {
        var model = root["model"] as? [String: Any] ?? [:]
        model[key] = value
        root["model"] = model
    }

    @Test func readsMergesInBothForms() throws {
        let pairs = try Tokenizer(json: json { _ in })
        let texts = try Tokenizer(json: json { model(&$0, "merges", ["a a", "a b", "aa ab"]) })
        #expect(texts.encode("aaab") == pairs.encode("aaab"))
        #expect(texts.encode("aaab") == [258])
    }

    @Test func readsAPatternOfItsOwn() throws {
        let data = try json {
            $0["pre_tokenizer"] = [
                "type": "Sequence",
                "pretokenizers": [
                    [
                        "type": "Split", "pattern": ["Regex": #"\p{N}{1,3}|[^\s\p{N}]+|\s+"#], "behavior": "Isolated",
                        "invert": false,
                    ],
                    ["type": "ByteLevel", "add_prefix_space": false, "use_regex": false],
                ],
            ]
        }
        let tokenizer = try Tokenizer(json: data)
        #expect(tokenizer.decode(tokenizer.encode("aaab 12345")) == "aaab 12345")
        #expect(try Tokenizer(json: Data(tokenizer.json().utf8)).json() == tokenizer.json())
    }

    @Test(arguments: [
        ("normalizer", ["type": "NFC"], "normalizer"),
        ("decoder", ["type": "WordPiece"], "decoder.type"),
        ("pre_tokenizer", ["type": "Metaspace"], "pre_tokenizer.type"),
        ("post_processor", ["type": "TemplateProcessing"], "post_processor.type"),
    ])
    func namesAnUnsupportedPart(key: String, value: [String: String], named: String) throws {
        let data = try json { $0[key] = value }
        do {
            _ = try Tokenizer(json: data)
            Issue.record("read a tokenizer whose \(key) is not supported")
        } catch {
            #expect(error.description.contains(named))
            #expect(error.description.contains(value["type"] ?? "?"))
        }
    }

    @Test func namesWhatIsWrongInTheModel() throws {
        func message(_ key: String, _ value: Any) throws -> String {
            let data = try json { model(&$0, key, value) }
            do {
                _ = try Tokenizer(json: data)
                return ""
            } catch {
                return error.description
            }
        }
        #expect(try message("type", "Unigram").contains("model.type is Unigram"))
        #expect(try message("byte_fallback", true).contains("model.byte_fallback"))
        #expect(try message("unk_token", "<unk>").contains("<unk>"))
        #expect(try message("merges", ["a zz"]).contains("model.merges[0]"))
        #expect(try message("merges", ["b b"]).contains("\"bb\"") || message("merges", ["b b"]).contains("bb"))
        #expect(try message("vocab", ["b": 0]).contains("model.merges[0]"))
        #expect(try message("vocab", ["a": -1]).contains("model.vocab.a"))
    }

    @Test func namesAByteWithoutToken() throws {
        let data = try json {
            model(&$0, "merges", [String]())
            model(&$0, "vocab", ["a": 0])
        }
        do {
            _ = try Tokenizer(json: data)
            Issue.record("read a vocabulary without the 256 bytes")
        } catch {
            #expect(error.description.contains("no token for byte 0"))
        }
    }

    @Test func namesAMissingFile() {
        do {
            _ = try Tokenizer(contentsOf: "/nonexistent/tokenizer.json")
            Issue.record("read a missing file")
        } catch {
            #expect(error.description.contains("/nonexistent/tokenizer.json"))
        }
    }
}
