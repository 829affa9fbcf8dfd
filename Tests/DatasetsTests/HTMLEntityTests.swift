import Testing

@testable import Datasets

@Suite struct HTMLEntityTests {
    private func decoded(_ text: String) -> (String, Int) {
        var bytes = Array(text.utf8)
        let count = HTMLEntities.decode(&bytes)
        return (String(decoding: bytes, as: UTF8.self), count)
    }

    @Test(arguments: [
        ("Makeup &amp; Nails", "Makeup & Nails", 1),
        ("&quot;A&quot; &#39;97 &#x27;98 &apos;99", "\"A\" '97 '98 '99", 5),
        ("Caf&eacute; &Eacute;&#233;&#xE9;&#XE9;", "Café Éééé", 5), ("&thetasym;&lt;&gt;&Mu;", "ϑ<>Μ", 4),
        ("&#128512; &#x1F600;", "😀 😀", 2), ("&#146;&#147;&#x80;", "’“€", 3), ("&nbsp;", "\u{A0}", 1),
    ])
    func namedAndNumericEntitiesAreDecoded(text: String, expected: String, count: Int) {
        #expect(decoded(text) == (expected, count))
    }

    @Test(arguments: [
        "AT&T", "R&D;", "&foo;", "& amp;", "&amp", "&;", "&#;", "&#x;", "&#0;", "&#7;", "&#xD800;", "&#1114112;",
        "&#-5;",
        "&#99999999999;", "&#12a;", "&AMP;", "&ampersand;", "&", "&&", "&#x1F600000;", "&#127;", "&#129;",
    ])
    func whatIsNoneStays(text: String) {
        #expect(decoded(text) == (text, 0))
    }

    @Test func entitiesAreDecodedOnce() {
        #expect(decoded("&amp;amp; &amp;lt;") == ("&amp; &lt;", 2))
        #expect(decoded("&&amp;&") == ("&&&", 1))
    }
}
