import Foundation
import Bytes
import Testing

@Suite struct ControlCharactersTests {
    @Test(arguments: [
        ("plain text", "plain text"),
        ("naïve 東京 👩‍👩‍👧 नी‌न", "naïve 東京 👩‍👩‍👧 नी‌न"),
        ("\u{1B}]0;title\u{07}", "\\u001b]0;title\\u0007"),
        ("a\nb\r\nc\td", "a\\nb\\r\\nc\\td"),
        ("\u{7F}\u{80}\u{9B}31m\u{9F}", "\\u007f\\u0080\\u009b31m\\u009f"),
        (
            "\u{202A}\u{202E}\u{2066}\u{2069}\u{200E}\u{200F}\u{061C}",
            "\\u202a\\u202e\\u2066\\u2069\\u200e\\u200f\\u061c"
        ),
        ("\u{2028}\u{2029}\u{FEFF}\u{0}", "\\u2028\\u2029\\ufeff\\u0000"),
        ("\u{E0041}", "\\udb40\\udc41"),
    ])
    func showsControlsAsNumbers(text: String, shown: String) {
        #expect(ControlCharacters.escaped(text) == shown)
    }

    @Test func linesMayStay() {
        #expect(ControlCharacters.escaped("a\nb\u{1B}", keepingLines: true) == "a\nb\\u001b")
        #expect(ControlCharacters.escaped("a\r\nb", keepingLines: true) == "a\\r\nb")
    }

    /// In a string of JSON it means the same as before.
    @Test func everyScalarSurvivesInJSON() throws {
        let all = (0...0x10FFFF).compactMap { Unicode.Scalar(UInt32($0)) }.filter(ControlCharacters.isControl)
        #expect(all.count > 65 + 2)
        for scalar in all {
            let text = "[\"\(ControlCharacters.escaped(String(scalar)))\"]"
            #expect(try JSONDecoder().decode([String].self, from: Data(text.utf8)) == [String(scalar)])
        }
    }
}
