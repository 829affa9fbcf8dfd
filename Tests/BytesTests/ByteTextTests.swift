import Foundation
import Bytes
import Testing

/// Ids and other keys are compared, hashed and ordered by their bytes.
@Suite
struct ByteTextTests {
    static let composed = "jos\u{E9}"
    static let decomposed = "jose\u{301}"

    @Test
    func canonicallyEquivalentTextsAreDifferentKeys() {
        #expect(Self.composed == Self.decomposed, "Swift's own comparison is what these types are there to avoid")
        #expect(UserID(Self.composed) != UserID(Self.decomposed))
        #expect(ItemID(Self.composed) != ItemID(Self.decomposed))
        #expect(QuestionID(Self.composed) != QuestionID(Self.decomposed))
        #expect(TextKey(Self.composed) != TextKey(Self.decomposed))
        #expect(Set([UserID(Self.composed), UserID(Self.decomposed)]).count == 2)
        // A Hangul syllable and its parts, the Ångström sign and the letter, an ohm and an omega.
        for (a, b) in [("\u{AC00}", "\u{1100}\u{1161}"), ("\u{212B}", "\u{C5}"), ("\u{2126}", "\u{3A9}")] {
            var counts: [TextKey: Int] = [:]
            for text in [a, b, a] { counts[TextKey(text), default: 0] += 1 }
            #expect(counts == [TextKey(a): 2, TextKey(b): 1])
        }
    }

    @Test
    func equalBytesAreOneKeyHoweverTheyAreStored() {
        let literal = UserID("a user with a long name that is not stored inline")
        let decoded = UserID(String(decoding: Array(literal.utf8), as: UTF8.self))
        #expect(literal == decoded)
        #expect(literal.hashValue == decoded.hashValue)
        // A string that Foundation made may be stored otherwise than as UTF-8.
        let bridged = UserID(NSString(string: literal.text).appending("") as String)
        #expect(bridged == literal)
        #expect(bridged.hashValue == literal.hashValue)
        #expect(UserID("") == "")
    }

    @Test
    func orderIsThatOfBytes() {
        // By canonical order and by UTF-16 these would come otherwise.
        let texts = ["", "Z", "a", "e\u{301}", "z", "\u{E9}", "\u{FF5E}", "\u{1F600}"]
        let expected = texts.sorted { Array($0.utf8).lexicographicallyPrecedes(Array($1.utf8)) }
        #expect(texts.reversed().map { ItemID($0) }.sorted().map(\.text) == expected)
        #expect(!(UserID("a") < UserID("a")))
    }

    @Test
    func jsonIsAPlainString() throws {
        let ids = [UserID(Self.composed), UserID(Self.decomposed)]
        let json = try JSONEncoder().encode(ids)
        #expect(try JSONDecoder().decode([UserID].self, from: json) == ids)
        #expect(
            try JSONDecoder().decode([String].self, from: json).map { Array($0.utf8) } == ids.map { Array($0.utf8) }
        )
    }
}
