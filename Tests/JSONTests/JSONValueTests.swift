import Foundation
import Testing

@testable import JSON

@Suite struct JSONValueTests {
    private struct Fields: Decodable { var a: UInt8 }

    private struct Settings: Codable, Equatable {
        struct Part: Codable, Equatable {
            var name: String
            var weights: [Float]
        }
        enum Kind: String, Codable { case small, large }

        var count: Int
        var seed: UInt64
        var offset: Int64
        var byte: UInt8
        var rate: Double
        var isOn: Bool
        var kind: Kind
        var note: String?
        var missing: String?
        var parts: [Part]
        var table: [String: [Int]]
        var pairs: [[Int?]]
    }

    private static let settings = Settings(
        count: -5,
        seed: .max,
        offset: .min,
        byte: 255,
        rate: 0.1,
        isOn: true,
        kind: .large,
        note: "é😀\"\\\n",
        parts: [.init(name: "a", weights: [1.5, 3.4028235e38]), .init(name: "", weights: [])],
        table: ["x": [1], "y": []],
        pairs: [[1, nil], []]
    )

    private func decode<Value: Decodable>(_ type: Value.Type, _ text: String) throws -> Value {
        try JSONValue.decode(type, from: Array(text.utf8))
    }

    @Test func readsWhatAnEncoderWrites() throws {
        for formatting in [JSONEncoder.OutputFormatting(), [.prettyPrinted, .sortedKeys]] {
            let encoder = JSONEncoder()
            encoder.outputFormatting = formatting
            #expect(try JSONValue.decode(Settings.self, from: encoder.encode(Self.settings)) == Self.settings)
        }
    }

    @Test(arguments: [
        ("{\"a\":1.5}", "1.5 must be a whole number"), ("{\"a\":\"1\"}", "\"1\" must be a whole number"),
        ("{\"a\":300}", "300 must be a whole number from 0 to 255"), ("{\"a\":-1}", "-1 must be"),
        ("{\"a\":[1]}", "an array must be"), ("{}", "a is missing"), ("[]", "an array must be an object"),
        ("{\"a\":null}", "null must be"),
    ])
    func whatDoesNotFitIsNamed(text: String, part: String) {
        let found = #expect(throws: DecodingError.self) { try decode(Fields.self, text) }
        let context: DecodingError.Context? =
            switch found {
            case .typeMismatch(_, let context), .valueNotFound(_, let context), .keyNotFound(_, let context): context
            default: nil
            }
        #expect(context?.debugDescription.contains(part) == true, "\(String(describing: found))")
    }

    @Test(arguments: [
        "{\"a\":1,\"a\":2}", "{\"a\":1,\"\\u0061\":2}", "[1,]", "{\"a\":1e999}", "", "{} {}", "[\"\\ud800\"]",
    ])
    func whatIsNoJSONIsRefused(text: String) {
        #expect(throws: JSONError.self) { try decode([String: Int].self, text) }
    }

    @Test func anErrorNamesThePath() {
        let error = JSONError(field: "a[1].b", value: "1e999", reason: "is not a finite number")
        #expect(throws: error) { try JSONValue(parsing: Array("{\"a\":[0,{\"b\":1e999}]}".utf8)) }
    }

    @Test func namesAreBytes() throws {
        let composed = "caf\u{E9}"
        let decomposed = "cafe\u{301}"
        let value = try JSONValue(parsing: Array("{\"\(composed)\":1,\"\(decomposed)\":2}".utf8))
        guard case .object(let object) = value else { throw JSONError(reason: "is not an object") }
        #expect(object.fields.count == 2)
        #expect(object[composed]?.shown == "1" && object[decomposed]?.shown == "2")
    }

    @Test func manyFieldsAreFoundAndGivenTwiceAreNoticed() throws {
        let fields = (0..<5_000).map { "\"k\($0)\":\($0)" }
        let value = try JSONValue(parsing: Array("{\(fields.joined(separator: ","))}".utf8))
        guard case .object(let object) = value else { throw JSONError(reason: "is not an object") }
        for index in 0..<5_000 { #expect(object["k\(index)"]?.shown == "\(index)") }
        #expect(object["k5000"] == nil)
        let twice = "{\(fields.joined(separator: ",")),\"k17\":0}"
        #expect(throws: JSONError(field: "k17", reason: "is given twice in one object: send it once")) {
            try JSONValue(parsing: Array(twice.utf8))
        }
    }

    @Test func theNumberOfValuesHasABound() {
        let text = Array("[\(Array(repeating: "0", count: 100).joined(separator: ","))]".utf8)
        #expect(throws: Never.self) { try JSONValue(parsing: text, maximumCount: 101) }
        #expect(throws: JSONError.self) { try JSONValue(parsing: text, maximumCount: 100) }
    }

    @Test func quotedTextIsReadBack() throws {
        let text = "\"\\/\n\r\t\u{0}\u{1F}\u{7F}é😀\u{2028}"
        var scanner = JSONScanner(Array(JSONText.quoted(text).utf8))
        #expect(try Array(scanner.string().utf8) == Array(text.utf8))
        try scanner.finish()
    }
}
