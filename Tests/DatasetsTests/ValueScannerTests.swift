import Testing

@testable import Datasets

@Suite struct ValueScannerTests {
    private func skips(_ text: String, _ syntax: ValueScanner.Syntax = .json) -> Bool {
        let bytes = Array(text.utf8)
        var scanner = ValueScanner(bytes, 0..<bytes.count, syntax)
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
        "[1, [2, {}], {\"a\": [null]}]",
        #"{"a": {"b": [1, 2]}, "c": "d"}"#, "{\"a\":[],\"b\":{}}",
    ])
    func passesOverWhatIsJSON(text: String) { #expect(skips(text)) }

    @Test(arguments: [
        "", "{", "[", "[1", "[1,", "[1,]", "{\"a\"}", "{\"a\":}", "{\"a\":1,}", "{a:1}", "'a'", "\"a", "nul", "01",
        "1.", "-",
        "1e", "--1", "[1 2]", "{\"a\":1 \"b\":2}", "[}", "{]", "None", "(1,)", "\"a\nb\"", "1 2", "{1: 2}",
    ])
    func refusesWhatIsNot(text: String) { #expect(!skips(text)) }

    @Test(arguments: [
        "{'a': None, \"b\": True}", "(1, 2,)", "()", "[1, 2, ]", #"'it\'s'"#, "{1: 'a'}", "{'a': {'b': ()}, }",
    ])
    func passesOverWhatIsPython(text: String) { #expect(skips(text, .python)) }

    @Test func aDeepValueIsRefusedAndDoesNotExhaustTheStack() {
        #expect(skips(String(repeating: "[", count: 100) + String(repeating: "]", count: 100)))
        #expect(!skips(String(repeating: "[", count: 1_000_000)))
    }

    @Test(arguments: [
        (#"\u0041\n\t\/\"\\"#, "A\n\t/\"\\"), (#"\ud83d\ude00!"#, "😀!"), (#"\ud83d!"#, "\u{FFFD}!"),
        (#"\ud83d\u0041"#, "\u{FFFD}A"), ("é", "é"), ("", ""),
    ])
    func resolvesEscapes(written: String, text: String) throws {
        let bytes = Array("\"\(written)\"".utf8)
        var scanner = ValueScanner(bytes, 0..<bytes.count)
        var read: [UInt8] = []
        try scanner.string(into: &read)
        #expect(String(decoding: read, as: UTF8.self) == text)
    }

    @Test(arguments: [#"\q"#, #"\u12"#, #"\u12G4"#, #"\x41"#, #"\'"#])
    func refusesWhatIsNoEscape(written: String) {
        let bytes = Array("\"\(written)\"".utf8)
        var scanner = ValueScanner(bytes, 0..<bytes.count)
        var read: [UInt8] = []
        #expect(throws: DatasetError.self) { try scanner.string(into: &read) }
    }

    @Test func resolvesPythonsEscapes() throws {
        let bytes = Array(#"'\xe9\'\U0001F600'"#.utf8)
        var scanner = ValueScanner(bytes, 0..<bytes.count, .python)
        var read: [UInt8] = []
        try scanner.string(into: &read)
        #expect(String(decoding: read, as: UTF8.self) == "é'😀")
    }
}
