import MessageLogs
import Testing

@Suite struct RecordHeaderTests {
    private func record(_ headers: [Header]) -> Record {
        Record(source: TopicPartition("t", 0), offset: 0, timestamp: 0, key: nil, value: nil, headers: headers)
    }

    /// Clients write `Content-Type`, `content-type` and `CONTENT-TYPE`.
    @Test(arguments: ["content-type", "Content-Type", "CONTENT-TYPE", "cONTENT-tYPE"])
    func namesOfHeadersCompareWithoutCase(name: String) {
        let record = record([
            Header("content-typ", "no"), Header("content_type", "no"), Header(name, "yes"), Header(name, "later"),
        ])
        #expect(record.header("content-type") == "yes")
        #expect(record.header("Content-Type") == "yes")
        #expect(record.header("content-types") == nil)
    }

    /// Only the letters of ASCII have case here: `[` and `{`, or `É` and `é`, are not one name.
    @Test func otherCharactersAreWhatTheyAre() {
        #expect(record([Header("a[", "1")]).header("a{") == nil)
        #expect(record([Header("É", "1")]).header("é") == nil)
        #expect(record([Header("\u{E9}", "1")]).header("e\u{301}") == nil)
    }
}
