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
        ("normalizer", ["type": "NFKC"], "normalizer.type"),
        ("decoder", ["type": "WordPiece"], "decoder.type"),
        ("pre_tokenizer", ["type": "Metaspace"], "pre_tokenizer.type"),
        ("post_processor", ["type": "BertProcessing"], "post_processor.type"),
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

    /// Published vocabularies lack bytes; what is written with them is left out, as `tokenizers` does.
    @Test func bytesWithoutTokenAreLeftOut() throws {
        let data = try json {
            model(&$0, "merges", ["a b"])
            model(&$0, "vocab", ["a": 0, "b": 1, "ab": 2])
        }
        let tokenizer = try Tokenizer(json: data)
        #expect(tokenizer.encode("xaxbx\u{6771}") == [2])
    }

    /// `transformers` sets both anew in each call, so files that were saved after one have them and nobody means it.
    @Test func textsAreNeitherCutNorFilledUp() throws {
        let plain = try Tokenizer(json: json { _ in })
        let data = try json {
            $0["truncation"] = ["direction": "Right", "max_length": 2, "strategy": "LongestFirst", "stride": 0]
            $0["padding"] = [
                "strategy": ["Fixed": 8], "direction": "Right", "pad_to_multiple_of": NSNull(), "pad_id": 0,
                "pad_type_id": 0, "pad_token": "a",
            ]
        }
        let tokenizer = try Tokenizer(json: data)
        for text in ["", "a", "aaab aaab ab"] { #expect(tokenizer.encode(text) == plain.encode(text)) }
    }

    @Test func namesAMissingFile() {
        do {
            _ = try Tokenizer(contentsOf: "/nonexistent/tokenizer.json")
            Issue.record("read a missing file")
        } catch {
            #expect(error.description.contains("/nonexistent/tokenizer.json"))
        }
    }

    // MARK: - Hostile files

    private func message(_ change: (inout [String: Any]) -> Void) throws -> String {
        let data = try json(change)
        do {
            _ = try Tokenizer(json: data)
            return "no error"
        } catch {
            return error.description
        }
    }

    private func added(_ id: Any, _ content: String) -> [String: Any] {
        ["id": id, "content": content, "special": true]
    }

    @Test func addedTokensAreToldApartByTheirBytes() throws {
        let (composed, decomposed) = ("<caf\u{E9}>", "<cafe\u{301}>")
        let text = try String(decoding: json { _ in }, as: UTF8.self)
        // By hand: a dictionary of Swift would make one key of the two.
        let vocabulary = text.replacing(#""vocab":{"#, with: #""vocab":{"\#(composed)":300,"\#(decomposed)":301,"#)
        #expect(vocabulary != text)
        let tokens = #"[{"id":300,"content":"\#(composed)"},{"id":301,"content":"\#(decomposed)"}]"#
        let whole = vocabulary.replacing(#""added_tokens":[]"#, with: #""added_tokens":\#(tokens)"#)
        #expect(whole != vocabulary)
        let tokenizer = try Tokenizer(json: Data(whole.utf8))
        #expect(tokenizer.id(of: composed) == 300 && tokenizer.id(of: decomposed) == 301)
        #expect(tokenizer.encode(decomposed + composed) == [301, 300])
        #expect(Array(tokenizer.decode([301, 300]).utf8) == Array((decomposed + composed).utf8))
    }

    @Test func numbersThatCannotBeAreNamed() throws {
        for id: Any in [-1, 4_000_000, 1_000_000_000_000, 1.5, true, "7", NSNull()] {
            let vocabulary = try message { root in
                var model = root["model"] as? [String: Any] ?? [:]
                var vocab = model["vocab"] as? [String: Any] ?? [:]
                vocab["ab"] = id
                model["vocab"] = vocab
                root["model"] = model
            }
            #expect(
                vocabulary.contains("model.vocab.ab") && vocabulary.contains("expected a token id from 0 to 3999999")
            )
            let reason = try message { $0["added_tokens"] = [added(id, "<x>")] }
            #expect(reason.contains("added_tokens[0].id"))
        }
        #expect(try message { $0["added_tokens"] = [added(300, "<x>"), added(300, "<y>")] }.contains("given to two"))
        #expect(try message { $0["added_tokens"] = [added(300, "<x>"), added(301, "<x>")] }.contains("given twice"))
        #expect(try message { $0["added_tokens"] = [added(5, "<x>")] }.contains("but \"<x>\" in added_tokens"))
        #expect(try message { $0["added_tokens"] = [added(300, "")] }.contains("has 0 bytes"))
        let long = String(repeating: "x", count: 1_025)
        #expect(
            try message { $0["added_tokens"] = [added(300, long)] }.contains("has 1025 bytes, expected from 1 to 1024")
        )
        let many = (0..<100_001).map { added(300 + $0, "<\($0)>") }
        #expect(try message { $0["added_tokens"] = many }.contains("100001 tokens, expected at most 100000"))
    }

    @Test func aTokenGivenTwiceIsNamed() throws {
        let text = try String(decoding: json { _ in }, as: UTF8.self)
        let twice = text.replacing(#""vocab":{"#, with: #""vocab":{"aa":256,"#)
        #expect(throws: TokenizerError.self) { try Tokenizer(json: Data(twice.utf8)) }
        #expect(
            try message { root in
                var model = root["model"] as? [String: Any] ?? [:]
                var vocab = model["vocab"] as? [String: Any] ?? [:]
                vocab["ab"] = vocab["aa"]
                model["vocab"] = vocab
                root["model"] = model
            }.contains("is given twice")
        )
    }

    @Test func aMergeWhoseResultIsNoTokenIsRefused() throws {
        let message = try message { root in
            var model = root["model"] as? [String: Any] ?? [:]
            var vocab = model["vocab"] as? [String: Any] ?? [:]
            vocab["<x>"] = 300
            model["vocab"] = vocab
            model["merges"] = [["<x>", "a"]]
            root["model"] = model
            root["added_tokens"] = [added(300, "<x>")]
        }
        #expect(message.contains("model.merges[0]") && message.contains("<x>a is not in model.vocab"))
    }

    /// A word of the vocabulary that is an added token as well keeps its merges.
    @Test func anAddedTokenMayBeAWordOfTheVocabulary() throws {
        let data = try json { $0["added_tokens"] = [added(257, "ab")] }
        let tokenizer = try Tokenizer(json: data)
        #expect(tokenizer.encode("aaab") == [256, 257])
        #expect(tokenizer.encode("aaab", matchesAddedTokens: false) == [258])
        let text = try message { $0["added_tokens"] = [added(300, "ab")] }
        #expect(text.contains("model.vocab") && text.contains("token 257, but token 300 in added_tokens"))
    }

    @Test func stepsThatAreNotSupportedAreNamed() throws {
        func step(_ steps: [[String: Any]]) throws -> String {
            try message { $0["pre_tokenizer"] = ["type": "Sequence", "pretokenizers": steps] }
        }
        let level: [String: Any] = ["type": "ByteLevel", "add_prefix_space": false, "use_regex": false]
        func split(_ pattern: [String: String], _ behaviour: String = "Isolated") -> [String: Any] {
            ["type": "Split", "pattern": pattern, "behavior": behaviour, "invert": false]
        }
        #expect(try step([]).contains("ByteLevel as the last step"))
        #expect(try step([level, level]).contains("pretokenizers[0].type is ByteLevel"))
        #expect(try step([["type": "Digits"]]).contains("pretokenizers[0].type is Digits"))
        #expect(try step([["type": "Punctuation"], level]).contains("pretokenizers[0].type is Punctuation"))
        #expect(try step([split(["Regex": "a"], "Glued"), level]).contains("behavior is Glued"))
        #expect(try step([split(["String": ""]), level]).contains("pattern.String"))
        #expect(try step([split([:]), level]).contains("pattern.Regex: is missing"))
        let deep = (0..<30).reduce(level) { inner, _ in ["type": "Sequence", "pretokenizers": [inner]] }
        #expect(try step([deep]) == "no error")
        #expect(try step(Array(repeating: split(["String": "a"]), count: 100) + [level]).contains("more than 64 steps"))
        #expect(try message { $0["decoder"] = ["type": "Sequence", "decoders": []] }.contains("decoder"))
    }

    @Test func templatesThatAreNotSupportedAreNamed() throws {
        let text: [String: Any] = ["Sequence": ["id": "A", "type_id": 0]]
        let mark: [String: Any] = ["SpecialToken": ["id": "<x>", "type_id": 0]]
        func template(_ single: [Any], _ tokens: [String: Any]) throws -> String {
            try message {
                $0["post_processor"] = ["type": "TemplateProcessing", "single": single, "special_tokens": tokens]
                $0["added_tokens"] = [added(300, "<x>")]
            }
        }
        let known: [String: Any] = ["<x>": ["id": "<x>", "ids": [300], "tokens": ["<x>"]]]
        #expect(try template([mark, text], known) == "no error")
        #expect(try template([mark], known).contains("post_processor.single"))
        #expect(try template([text, text], known).contains("post_processor.single[1]"))
        #expect(try template([mark, text], [:]).contains("post_processor.special_tokens.<x>.ids"))
        let unknown: [String: Any] = ["<x>": ["id": "<x>", "ids": [3_999_999], "tokens": ["<x>"]]]
        #expect(try template([mark, text], unknown).contains("adds token 3999999"))
        #expect(try template([["Sequence": ["id": "B", "type_id": 0]]], known).contains("Sequence.id is B"))
    }

    /// Patterns whose matching would take years, all memory, or the process.
    @Test(arguments: [
        #"(a+)+$"#, #"(a|aa)+$"#, #"(?:(?:a+)+)+b"#, #"(.*)*x"#, #"(?=(a+)+$)b|."#, #"((a{0,100}){0,100}){0,100}b"#,
        #"(?<x>a|b(?&x)*)+c"#, #"(a?){200}a{200}"#, #"(?R)?a"#, #"\Ka"#, #"(?=a)"#, #"a*"#,
    ])
    func aPatternThatGoesBackForEverIsBounded(pattern: String) throws {
        let data = try json {
            $0["pre_tokenizer"] = [
                "type": "Sequence",
                "pretokenizers": [
                    ["type": "Split", "pattern": ["Regex": pattern], "behavior": "Isolated", "invert": false],
                    ["type": "ByteLevel", "add_prefix_space": false, "use_regex": false],
                ],
            ]
        }
        let text = String(repeating: "a", count: 3_000) + "\u{E9}!"
        do throws(TokenizerError) {
            let tokenizer = try Tokenizer(json: data)
            #expect(tokenizer.decode(tokenizer.encode(text)) == text)
        } catch {
            // What the compiler of patterns refuses is named as such.
            #expect(error.description.contains("pattern.Regex"))
        }
    }

    /// Too long, broken, or read differently by PCRE2 and by the library of `tokenizers`.
    @Test(arguments: [
        #"\C"#, String(repeating: "a", count: 10_001), "(", "a\\", #"\w+"#, #"\bx"#, #"\h"#, #"\K"#, #"\pL"#, #"\1"#,
        "[[:alpha:]]", "[a&&b]", "[]a]", #"[\S]"#, "(?i)a", "(?s).", "(?R)", "(*F)", "a{,3}", "a{2}+", #"\p{L&}"#,
        #"\x41"#,
    ])
    func aPatternThatIsNotTakenIsNamed(pattern: String) throws {
        let message = try message {
            $0["pre_tokenizer"] = [
                "type": "Sequence",
                "pretokenizers": [
                    ["type": "Split", "pattern": ["Regex": pattern], "behavior": "Isolated", "invert": false],
                    ["type": "ByteLevel", "add_prefix_space": false, "use_regex": false],
                ],
            ]
        }
        #expect(message.contains("pattern.Regex"))
    }
}
