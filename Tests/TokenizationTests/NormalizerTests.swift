import Foundation
import Testing

@testable import Tokenization

@Suite struct NormalizerTests {
    private func composed(_ text: String) -> [UInt32] {
        let bytes = Array(text.utf8)
        let result = Normalizer.composed.normalized(bytes[...]) ?? bytes
        return String(decoding: result, as: UTF8.self).unicodeScalars.map(\.value)
    }

    @Test func textIsComposed() {
        #expect(composed("e\u{301}") == [0xE9])
        #expect(composed("e\u{327}\u{301}") == composed("e\u{301}\u{327}"))
        #expect(composed("\u{212B}") == [0xC5])
        #expect(composed("\u{1100}\u{1161}\u{11A8}") == [0xAC01])
        // A syllable behind another one, which Foundation leaves as it is.
        #expect(composed("\u{CED1}\u{CABC}\u{11A8}") == [0xCED1, 0xCABD])
        // Signs that decompose into marks.
        #expect(composed("\u{612}\u{F81}") == [0xF71, 0xF80, 0x612])
        #expect(composed("\u{344}") == [0x308, 0x301])
        // U+121D0 is no U+21D0, which U+0338 would compose with.
        #expect(composed("\u{121D0}\u{338}") == [0x121D0, 0x338])
        #expect(composed("\u{21D0}\u{338}") == [0x21CD])
        #expect(composed("\u{11099}\u{110BA}") == [0x1109A])
        // A mark that is younger than the tables of `tokenizers` does not move.
        #expect(composed("a\u{1ADB}\u{31E}") == [0x61, 0x1ADB, 0x31E])
    }

    @Test func textThatIsComposedIsLeftAlone() {
        for text in ["", "plain", "naïve Größe", "\u{2FF}"] {
            let bytes = Array(text.utf8)
            #expect(Normalizer.composed.normalized(bytes[...]) == nil)
        }
        let decomposed = Array("e\u{301}".utf8)
        #expect(Normalizer.none.normalized(decomposed[...]) == nil)
    }

    @Test func aLongRunOfMarksInTheWrongOrderIsNoSquare() {
        let count = 200_000
        let text = "a" + String(repeating: "\u{301}\u{327}", count: count)
        let result = composed(text)
        // a + U+0301 compose once the cedillas are in front.
        #expect(result.count == 2 * count && result.first == 0xE1)
        #expect(result[1...count].allSatisfy { $0 == 0x327 } && result.last == 0x301)
    }
}
