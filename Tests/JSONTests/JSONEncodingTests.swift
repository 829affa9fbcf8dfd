import JSON
import Testing

@Suite struct JSONEncodingTests {
    private struct Inner: Encodable {
        let number: Int32
        let share: Double?
    }

    private struct Whole: Encodable {
        enum CodingKeys: String, CodingKey {
            case zebra, apple
            case inner = "inner_value"
            case list, nothing, flag, none
        }

        let zebra: String
        let apple: UInt64
        let inner: Inner
        let list: [Inner]
        let nothing: [Int]
        let flag: Bool
        let none: String?
    }

    private struct Nothing: Encodable {}

    @Test func fieldsKeepTheirOrderAndNilIsLeftOut() throws {
        let whole = Whole(
            zebra: "a\"b\\\n\u{202E}é/",
            apple: .max,
            inner: Inner(number: -1, share: 0.25),
            list: [Inner(number: 2, share: nil), Inner(number: 3, share: nil)],
            nothing: [],
            flag: true,
            none: nil
        )
        let start = #"{"zebra":"a\"b\\\n\u202eé/","apple":18446744073709551615,"#
        let inner = #""inner_value":{"number":-1,"share":0.25},"#
        #expect(
            try JSONText.encoded(whole) == start + inner
                + #""list":[{"number":2},{"number":3}],"nothing":[],"flag":true}"#
        )
    }

    @Test func anyValueStandsAlone() throws {
        #expect(try JSONText.encoded("a") == "\"a\"")
        #expect(try JSONText.encoded([1, nil, 3] as [Int?]) == "[1,null,3]")
        #expect(try JSONText.encoded(["a": [["b": 1.5]]]) == #"{"a":[{"b":1.5}]}"#)
        #expect(try JSONText.encoded(Nothing()) == "{}")
        #expect(try JSONText.encoded(Float(0.1)) == "0.1")
    }

    @Test func namesThatAreKnownLateKeepTheirOrderToo() throws {
        let fields = JSONFields([(name: "b\"", value: 1), (name: "a", value: 2)])
        #expect(try JSONText.encoded(["x": fields]) == #"{"x":{"b\"":1,"a":2}}"#)
        #expect(try JSONText.encoded(JSONFields<Int>([])) == "{}")
    }

    @Test(arguments: [Double.nan, .infinity, -.infinity])
    func aNumberThatJSONHasNotIsAnError(number: Double) {
        #expect(throws: EncodingError.self) { try JSONText.encoded(["a": number]) }
        #expect(throws: EncodingError.self) { try JSONText.encoded([Float(number)]) }
    }

    @Test func whatIsWrittenIsReadBack() throws {
        let lists = (0..<200).map { index in (0..<index).map { "\($0)\u{1B}" } }
        let text = try JSONText.encoded(["lists": lists])
        #expect(try JSONValue.decode([String: [[String]]].self, from: text.utf8) == ["lists": lists])
    }
}
