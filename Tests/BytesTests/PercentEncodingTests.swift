import Bytes
import Testing

@Suite struct PercentEncodingTests {
    @Test(arguments: [
        ("plain-Text_0.9~", "plain-Text_0.9~"), ("a b/c?d&e=f+g%", "a%20b%2Fc%3Fd%26e%3Df%2Bg%25"),
        ("é\u{7F}\n", "%C3%A9%7F%0A"), ("", ""),
    ])
    func textIsEncodedAndReadBack(text: String, encoded: String) {
        #expect(PercentEncoding.encode(text) == encoded)
        #expect(PercentEncoding.decode(encoded.utf8) == text)
    }

    @Test(arguments: ["%", "%4", "%4g", "%FF", "a%00", "%+1"])
    func whatIsNoTextIsRefused(encoded: String) {
        #expect(PercentEncoding.decode(encoded.utf8) == nil)
    }

    @Test func lettersOfBothCasesAreDigits() {
        #expect(PercentEncoding.decode("%c3%A9+".utf8) == "é+")
    }
}
