import Testing

@testable import JSON

@Suite struct JSONScannerTests {
    private func skips(_ text: String, _ syntax: JSONScanner.Syntax = .json) -> Bool {
        skips(Array(text.utf8), syntax)
    }

    private func skips(_ bytes: [UInt8], _ syntax: JSONScanner.Syntax = .json) -> Bool {
        var scanner = JSONScanner(bytes, syntax)
        do {
            try scanner.skipValue()
            try scanner.finish()
            return true
        } catch {
            return false
        }
    }

    @Test(arguments: [
        "{}", "[]", " [ ] ", "null", "true", "false", "0", "-1.5e+3", "\"\"", #""a\"b\\""#,
        "[1, [2, {}], {\"a\": [null]}]", "-0", "1E9", "\"\u{7F}\u{80}é😀\"", "\u{FEFF}{}", #""\ud83d\ude00""#,
        #"{"a": {"b": [1, 2]}, "c": "d"}"#, "{\"a\":[],\"b\":{}}", "\t\r\n {} \n",
    ])
    func passesOverWhatIsJSON(text: String) { #expect(skips(text)) }

    @Test(arguments: [
        "", "{", "[", "[1", "[1,", "[1,]", "[,]", "[,1]", "[1,,2]", "{\"a\"}", "{\"a\":}", "{\"a\":1,}", "{,}", "{a:1}",
        "'a'", "\"a", "nul", "nullx", "True", "01", "-01", "1.", ".5", "+1", "-", "1e", "1e+", "--1", "NaN", "Infinity",
        "-Infinity", "0x10", "[1 2]", "{\"a\":1 \"b\":2}", "[}", "{]", "None", "(1,)", "\"a\nb\"", "\"\t\"", "1 2",
        "{1: 2}",
        #""\x41""#, #""\'""#, #""\u12""#, #""\u12G4""#, #""\ud83d""#, #""\ude00\ud83d""#, #""\""#, "[]]", "{}{}",
        "/* a */ 1", "\u{A0}1", "{}\u{FEFF}", "[\u{FEFF}1]",
    ])
    func refusesWhatIsNot(text: String) { #expect(!skips(text)) }

    /// Overlong, a surrogate, past U+10FFFF, cut, and bytes that never occur.
    @Test(
        arguments: [
            [0xC0, 0x80], [0xE0, 0x80, 0x80], [0xED, 0xA0, 0x80], [0xF4, 0x90, 0x80, 0x80], [0xC3], [0xE2, 0x82],
            [0xFF], [0x80],
        ] as [[UInt8]]
    )
    func refusesWhatIsNotUTF8InAnyString(bytes: [UInt8]) {
        let quote = [UInt8(ascii: "\"")]
        #expect(!skips(quote + bytes + quote))
        #expect(!skips(Array("{\"".utf8) + bytes + Array("\":1}".utf8)))
        #expect(!skips(Array("'a".utf8) + bytes + Array("'".utf8), .python))
        #expect(!skips(bytes))
    }

    @Test func saysWhereTheTextStopsBeingUTF8() {
        var scanner = JSONScanner(Array("{\"a\": \"é".utf8) + [0xFF] + Array("\"}".utf8))
        #expect(throws: JSONError(reason: "is not UTF-8 (0xFF at byte 10): send text in UTF-8")) {
            try scanner.skipValue()
        }
    }

    @Test func bytesBetweenValuesThatAreNotUTF8AreNamedAsThat() {
        var scanner = JSONScanner([0x7B, 0xFC, 0x7D])
        #expect(throws: JSONError(reason: "is not UTF-8 (0xFC at byte 2): send text in UTF-8")) {
            try scanner.skipValue()
        }
        scanner = JSONScanner(Array("[é]".utf8))
        #expect(throws: JSONError(value: "é]", reason: "is not valid JSON: expected a value", byte: 2, isSyntax: true))
        {
            try scanner.skipValue()
        }
    }

    @Test(arguments: [
        "{'a': None, \"b\": True}", "(1, 2,)", "()", "[1, 2, ]", #"'it\'s'"#, "{1: 'a'}", "{'a': {'b': ()}, }",
        "'\\xe9\\\n'",
    ])
    func passesOverWhatIsPython(text: String) { #expect(skips(text, .python)) }

    @Test func aDeepValueIsRefusedAndDoesNotExhaustTheStack() {
        let limit = JSONScanner.maximumDepth
        func nested(_ count: Int) -> String {
            String(repeating: "[", count: count) + String(repeating: "]", count: count)
        }
        func objects(_ count: Int) -> String {
            String(repeating: "{\"a\":", count: count) + "1" + String(repeating: "}", count: count)
        }
        #expect(skips(nested(limit)))
        #expect(!skips(nested(limit + 1)))
        #expect(skips(objects(limit)))
        #expect(!skips(objects(limit + 1)))
        #expect(!skips(String(repeating: "[", count: 1_000_000)))
        #expect(!skips(String(repeating: "(", count: 1_000_000), .python))
        // Values beside each other are not deep.
        #expect(skips("[" + Array(repeating: "[[]]", count: 1_000).joined(separator: ",") + "]"))
    }

    @Test func aValueIsPassedOverAsFarAsIsAllowed() throws {
        let text = "[" + Array(repeating: "{\"a\":[1]}", count: 1_000).joined(separator: ",") + "] 7"
        var scanner = JSONScanner(Array(text.utf8))
        #expect(try !scanner.skipValue(within: 500))
        #expect(scanner.position < 600)
        scanner = JSONScanner(Array(text.utf8))
        #expect(try scanner.skipValue(within: text.utf8.count))
        #expect(try scanner.integer() == 7)
        scanner = JSONScanner(Array("\"abcdef\"".utf8))
        #expect(try scanner.skipValue(within: 2))
    }

    @Test func theDepthCountsWhatTheCallerEntered() throws {
        let limit = JSONScanner.maximumDepth
        var scanner = JSONScanner(Array(String(repeating: "[", count: limit + 1).utf8))
        for _ in 0..<limit {
            try scanner.beginArray()
            #expect(try scanner.nextValue(isFirst: true))
        }
        #expect(throws: JSONError.self) { try scanner.beginArray() }
        #expect(throws: JSONError.self) { try scanner.skipValue() }
    }

    // MARK: - Strings

    @Test(arguments: [
        (#"\u0041\n\t\/\"\\"#, "A\n\t/\"\\"), (#"\ud83d\ude00!"#, "😀!"), (#"\b\f\r\u0000"#, "\u{8}\u{C}\r\0"),
        ("é", "é"),
        ("", ""), (#"\uFFFF\u00e9"#, "\u{FFFF}é"),
    ])
    func resolvesEscapes(written: String, text: String) throws {
        for syntax in [JSONScanner.Syntax.json, .publishedJSON] {
            var scanner = JSONScanner(Array("\"\(written)\"".utf8), syntax)
            var read: [UInt8] = []
            try scanner.string(into: &read)
            #expect(read == Array(text.utf8))
            scanner = JSONScanner(Array("\"\(written)\"".utf8), syntax)
            #expect(try Array(scanner.string().utf8) == Array(text.utf8))
        }
    }

    @Test(arguments: [(#"\ud83d!"#, "\u{FFFD}!"), (#"\ud83d\u0041"#, "\u{FFFD}A"), (#"\ude00"#, "\u{FFFD}")])
    func halfOfAPairIsAnErrorButInPublishedFiles(written: String, text: String) throws {
        let bytes = Array("\"\(written)\"".utf8)
        var read: [UInt8] = []
        var scanner = JSONScanner(bytes)
        #expect(throws: JSONError.self) { try scanner.string(into: &read) }
        read = []
        scanner = JSONScanner(bytes, .publishedJSON)
        try scanner.string(into: &read)
        #expect(String(decoding: read, as: UTF8.self) == text)
    }

    @Test(arguments: [#"\q"#, #"\u12"#, #"\u12G4"#, #"\x41"#, #"\'"#, #"\u+123"#])
    func refusesWhatIsNoEscape(written: String) {
        var scanner = JSONScanner(Array("\"\(written)\"".utf8))
        var read: [UInt8] = []
        #expect(throws: JSONError.self) { try scanner.string(into: &read) }
    }

    @Test func resolvesPythonsEscapes() throws {
        var scanner = JSONScanner(Array(#"'\xe9\'\U0001F600\a\v'"#.utf8), .python)
        var read: [UInt8] = []
        try scanner.string(into: &read)
        #expect(String(decoding: read, as: UTF8.self) == "é'😀\u{7}\u{B}")
    }

    @Test func aFieldsNameIsFoundHoweverItIsWritten() throws {
        var scanner = JSONScanner(Array(#"{"us\u0065r": 1, "user": 2, "us\\er": 3, "used": 4}"#.utf8))
        let names = ["item", "user"].map { Array($0.utf8) }
        var found: [Int?] = []
        try scanner.beginObject()
        while let name = try scanner.nextField(isFirst: found.isEmpty) {
            found.append(scanner.name(name, among: names))
            try scanner.skipValue()
        }
        #expect(found == [1, 1, nil, nil])
    }

    // MARK: - Numbers

    @Test(arguments: [
        ("0", 0), ("-0", 0), ("9223372036854775807", Int64.max), ("-9223372036854775808", Int64.min),
        ("922337203685477580.7e1", Int64.max), ("1e3", 1_000), ("1.50e1", 15), ("100e-2", 1), ("5.0", 5),
        ("0e999999999999", 0),
        ("0.000", 0), ("1000000000000000000", 1_000_000_000_000_000_000), ("10e17", 1_000_000_000_000_000_000),
        ("0.00000000000000000000001e23", 1),
    ])
    func wholeNumbersAreExact(text: String, value: Int64) throws {
        var scanner = JSONScanner(Array(text.utf8))
        #expect(try scanner.integer(Int64.self) == value)
    }

    @Test(arguments: [
        "9223372036854775808", "-9223372036854775809", "1e19", "0.5", "1e-1", "1e999999999999999999999", "-1e400",
        "100000000000000000000", "123456789012345678901234567890", "1.5", "\"1\"", "true", "null", "[1]", "{}",
    ])
    func whatIsNoWholeNumberIsAnError(text: String) {
        var scanner = JSONScanner(Array(text.utf8))
        #expect(throws: JSONError.self) { _ = try scanner.integer(Int64.self) }
    }

    @Test func wholeNumbersWithoutSignAreExact() throws {
        for (text, value) in [
            ("18446744073709551615", UInt64.max), ("1844674407370955161.5e1", .max), ("0", 0), ("-0", 0),
        ] {
            var scanner = JSONScanner(Array(text.utf8))
            #expect(try scanner.integer(UInt64.self) == value, "\(text)")
        }
        for text in ["18446744073709551616", "-1", "99999999999999999999", "2e19"] {
            var scanner = JSONScanner(Array(text.utf8))
            #expect(throws: JSONError.self, "\(text)") { _ = try scanner.integer(UInt64.self) }
        }
        var scanner = JSONScanner(Array("256".utf8))
        #expect(throws: JSONError.self) { _ = try scanner.integer(UInt8.self) }
    }

    @Test(arguments: [
        "0", "-0.0", "1.5", "0.1", "3.3", "4.35", "1e-7", "123456789.123456789", "5e-324", "2.2250738585072011e-308",
        "1.7976931348623157e308", "9007199254740993", "1e22", "1e23", "8.5e-10", "16777217", "16777219", "3.4028235e38",
        "0.000000000000000000000000000000000000000000001", "1e-400", "123456789012345678901234567890", "2.5e-45",
    ])
    func numbersAreRoundedOnce(text: String) throws {
        let bytes = Array(text.utf8)
        var scanner = JSONScanner(bytes)
        let double = try #require(Double(text))
        #expect(try scanner.double().bitPattern == double.bitPattern)
        let float = try #require(Float(text))
        scanner = JSONScanner(bytes)
        if float.isFinite {
            #expect(try scanner.float().bitPattern == float.bitPattern)
        } else {
            #expect(throws: JSONError.self) { _ = try scanner.float() }
        }
    }

    @Test func aNumberThatIsNotFiniteIsAnErrorThatNamesIt() {
        var scanner = JSONScanner(Array(" 1e999".utf8))
        #expect(
            throws: JSONError(value: "1e999", reason: "must be a number of at most 1.7976931348623157e+308", byte: 2)
        ) {
            _ = try scanner.double()
        }
        scanner = JSONScanner(Array("3.5e38".utf8))
        #expect(throws: JSONError.self) { _ = try scanner.float() }
    }

    // MARK: - Ids

    @Test(arguments: [
        ("\"u1\"", "u1"), ("12", "12"), ("9007199254740993123", "9007199254740993123"), ("-5", "-5"), ("0", "0"),
        ("123456789012345678901234567890", "123456789012345678901234567890"),
    ])
    func aNumbersDigitsAreTheID(text: String, id: String) throws {
        var scanner = JSONScanner(Array(text.utf8))
        #expect(try scanner.identifier() == id)
        scanner = JSONScanner(Array(text.utf8))
        var bytes: [UInt8] = []
        try scanner.identifier(into: &bytes)
        #expect(bytes == Array(id.utf8))
    }

    @Test(arguments: ["1.0", "1e3", "true", "null", "[1]", "{\"a\":1}", "007", "NaN"])
    func whatIsNeitherTextNorAWholeNumberIsNoID(text: String) {
        var scanner = JSONScanner(Array(text.utf8))
        #expect(throws: JSONError.self) { _ = try scanner.identifier() }
    }

    @Test func anErrorShowsTheValueAndItsPlace() {
        var scanner = JSONScanner(Array("  \"five\"".utf8))
        #expect(throws: JSONError(value: "\"five\"", reason: "must be true or false", byte: 3)) {
            _ = try scanner.bool()
        }
        let error = JSONError(value: "\"five\"", reason: "must be a number", byte: 3)
        #expect(
            error.inField("score").inElement(3).inField("items").description
                == "items[3].score: \"five\" must be a number (at byte 3)"
        )
    }
}
