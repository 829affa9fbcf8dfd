import Foundation
import Testing
import Tokenization

/// Ids of random strings as Hugging Face's `tokenizers` makes them, from Fixtures/Tokenizers/make-golden.py.
@Suite struct GoldenTokenizerTests {
    private struct Golden: Decodable {
        var texts: [String]
        var ids: [String: [[Int32]]]
        var framed: [[Int32]]

        enum CodingKeys: String, CodingKey {
            case texts, ids
            case framed = "llama3-framed"
        }
    }

    private struct Steps: Decodable {
        var texts: [String]
        var tokenizers: [Case]
    }

    private struct Case: Decodable {
        var tokenizer: AnyJSON
        var ids: [[Int32]]
    }

    static let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .appending(path: "Fixtures/Tokenizers")

    private func golden() throws -> Golden {
        try JSONDecoder().decode(Golden.self, from: Data(contentsOf: Self.folder.appending(path: "ids.json")))
    }

    @Test(arguments: ["smollm2-pruned", "llama3", "qwen2"])
    func idsAreThoseOfTokenizers(name: String) throws {
        let golden = try golden()
        let wanted = try #require(golden.ids[name])
        let tokenizer = try Tokenizer(contentsOf: Self.folder.appending(path: "\(name).json").path)
        let again = try Tokenizer(json: Data(tokenizer.json().utf8))
        #expect(wanted.count == golden.texts.count && wanted.count == 300)
        for (text, ids) in zip(golden.texts, wanted) {
            #expect(tokenizer.encode(text) == ids)
            // Written and read again it is the same; the second time from the cache.
            #expect(again.encode(text) == ids)
            #expect(again.encode(text) == ids)
        }
        #expect(again.json() == tokenizer.json())
    }

    @Test func textsAreFramedWhereThatIsAskedFor() throws {
        let golden = try golden()
        let tokenizer = try Tokenizer(contentsOf: Self.folder.appending(path: "llama3.json").path)
        let again = try Tokenizer(json: Data(tokenizer.json().utf8))
        for (text, ids) in zip(golden.texts, golden.framed) {
            #expect(tokenizer.encode(text, addsSpecialTokens: true) == ids)
            #expect(again.encode(text, addsSpecialTokens: true) == ids)
            #expect(ids.first == tokenizer.id(of: "<|begin_of_text|>"))
        }
    }

    /// Every behaviour of splits, digits, prefix spaces, patterns of Oniguruma, and every flag of added tokens.
    @Test func stepsAndFlagsAreThoseOfTokenizers() throws {
        let steps = try JSONDecoder().decode(
            Steps.self,
            from: Data(contentsOf: Self.folder.appending(path: "steps.json"))
        )
        #expect(steps.tokenizers.count == 46)
        for (index, entry) in steps.tokenizers.enumerated() {
            let tokenizer = try Tokenizer(json: JSONEncoder().encode(entry.tokenizer))
            let again = try Tokenizer(json: Data(tokenizer.json().utf8))
            for (text, ids) in zip(steps.texts, entry.ids) {
                #expect(tokenizer.encode(text) == ids, "tokenizer \(index), \(text.debugDescription)")
                #expect(again.encode(text) == ids, "tokenizer \(index) read again, \(text.debugDescription)")
            }
        }
    }
}

/// Any JSON, to pass a part of a file on.
private enum AnyJSON: Codable {
    case null
    case bool(Bool)
    case number(Int)
    case string(String)
    case array([AnyJSON])
    case object([String: AnyJSON])

    init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        if container.decodeNil() {
            self = .null
        } else if let value = try? container.decode(Bool.self) {
            self = .bool(value)
        } else if let value = try? container.decode(Int.self) {
            self = .number(value)
        } else if let value = try? container.decode(String.self) {
            self = .string(value)
        } else if let value = try? container.decode([AnyJSON].self) {
            self = .array(value)
        } else {
            self = .object(try container.decode([String: AnyJSON].self))
        }
    }

    func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        switch self {
        case .null: try container.encodeNil()
        case .bool(let value): try container.encode(value)
        case .number(let value): try container.encode(value)
        case .string(let value): try container.encode(value)
        case .array(let value): try container.encode(value)
        case .object(let value): try container.encode(value)
        }
    }
}
