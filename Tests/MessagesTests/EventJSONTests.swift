import Messages
import Testing

@Suite struct EventJSONTests {
    private func read(_ json: String, receivedAt: Int64? = nil) throws(MessageError) -> Event {
        try Event(decoding: Array(json.utf8), contentType: "application/json", receivedAt: receivedAt)
    }

    /// The error a text gives; a text that is accepted fails the test.
    private func error(_ json: String) -> MessageError? {
        do {
            let event = try read(json)
            Issue.record("accepted: \(event)")
            return nil
        } catch {
            return error
        }
    }

    @Test func readsAllFieldsAndIgnoresOthers() throws {
        let event = try read(
            """
            {"user": "u1", "item": "m260", "rating": 4, "type": "rating", "categories": ["Action", "Sci-Fi"],
             "text": "good", "time": "2001-01-01T00:12:40.250+02:00", "event_id": "e1", "device": {"os": [1, null]}}
            """
        )
        let expected = Event(
            id: "e1",
            user: "u1",
            item: "m260",
            type: "rating",
            rating: 4,
            categories: ["Action", "Sci-Fi"],
            text: "good",
            time: 978_300_760_250
        )
        #expect(event == expected)
    }

    /// Each text twice: as producers write it, and with one more field, which the general decoder reads.
    @Test(
        arguments: [
            #"{"user":"u","item":"i","time":1}"#, #" { "user" : "ü/ 1" , "item":"i", "time" : 1700000000123 } "#,
            #"{"user":"u","item":"i","time":"2001-01-01T00:12:40.250+02:00","rating":4.5,"event_id":"e","type":"t"}"#,
            #"{"user":"u","item":"i","time":0,"rating":0,"categories":[],"text":""}"#,
            #"{"user":"u","item":"i","time":0,"rating":16777216,"categories":["a","b c"]}"#,
            #"{"user":"u","item":"i","time":5,"rating":0.1}"#, #"{"user":"u","item":"i","time":5,"rating":3.1415927}"#,
            #"{"user":"u","item":"i","time":5,"rating":123456789}"#,
            #"{"user":"u","item":"i","time":5,"rating":-1.5e2}"#,
            #"{"user":"a\"b","item":"i\u00fc","time":5}"#, #"{"user":"u","item":"i","time":1e3}"#,
            #"{"user":"u","item":"i","time":1,"rating":null}"#,
        ]
    )
    func plainAndGeneralReadingAgree(json: String) throws {
        let end = try #require(json.lastIndex(of: "}"))
        let general = json[..<end] + #","device":null}"#
        #expect(try read(json) == read(String(general)))
    }

    @Test(
        arguments: [
            #"{"user":"u","item":"i","time":01}"#, #"{"user":"u","item":"i","time":1,"rating":1.}"#,
            #"{"user":"u","item":"i","time":1,"rating":.5}"#,
            #"{"user":"u","item":"i","time":1} x"#, #"{"user":"u","item":"i","time":1"#,
            #"{"user":"u" "item":"i","time":1}"#,
            "{\"user\":\"u\u{1}\",\"item\":\"i\",\"time\":1}", #"{"user":"u","item":"i","time":1.5}"#,
        ]
    )
    func whatIsNoJSONIsRefused(json: String) {
        #expect(error(json) != nil)
    }

    @Test func nullIsMissing() throws {
        let event = try read(#"{"user":"u","item":"i","rating":null,"text":null,"time":7}"#)
        #expect(event == Event(user: "u", item: "i", time: 7))
    }

    @Test func missingTimeIsWhenItWasReceived() throws {
        #expect(try read(#"{"user":"u","item":"i"}"#, receivedAt: 77).time == 77)
        #expect(try read(#"{"user":"u","item":"i","time":5}"#, receivedAt: 77).time == 5)
        #expect(error(#"{"user":"u","item":"i"}"#)?.field == "time")
    }

    @Test(
        arguments: [
            (#"{"item":"i","time":1}"#, "user", "is missing"),
            (#"{"user":"u","time":1}"#, "item", "is missing"),
            (#"{"user":"","item":"i","time":1}"#, "user", "is empty"),
            (#"{"user":42,"item":"i","time":1}"#, "user", "42 must be a string"),
            (#"{"user":true,"item":"i","time":1}"#, "user", "true must be a string"),
            (#"{"user":"a\ud800b","item":"i","time":1}"#, "user", "a value that cannot be read must be a string"),
            (
                #"{"user":"u","item":"i","time":1,"rating":1e400}"#, "rating",
                "a value that cannot be read must be a number"
            ),
            (#"{"user":["u"],"item":"i","time":1}"#, "user", "an array must be a string"),
            (#"{"user":"u","item":{"id":1},"time":1}"#, "item", "an object must be a string"),
            (#"{"user":"u","item":"i","time":1,"rating":"five"}"#, "rating", "\"five\" must be a number"),
            (#"{"user":"u","item":"i","time":1,"rating":true}"#, "rating", "must be a number"),
            (#"{"user":"u","item":"i","time":1,"rating":1e300}"#, "rating", "must be a number"),
            (#"{"user":"u","item":"i","time":1,"categories":"Action"}"#, "categories", "must be an array of strings"),
            (#"{"user":"u","item":"i","time":1,"categories":["a",3]}"#, "categories[1]", "array of strings"),
            (#"{"user":"u","item":"i","time":1,"categories":["a",""]}"#, "categories[1]", "is empty"),
            (#"{"user":"u","item":"i","time":"yesterday"}"#, "time", "\"yesterday\" must be"),
            (#"{"user":"u","item":"i","time":"2001-02-29T00:00:00Z"}"#, "time", "ISO 8601"),
            (#"{"user":"u","item":"i","time":"2001-02-28T00:00:00"}"#, "time", "time zone"),
            (#"{"user":"u","item":"i","time":978300760000000}"#, "time", "microseconds"),
            (#"{"user":"u","item":"i","time":-1}"#, "time", "milliseconds"),
            (#"{"user":"a\u0000b","item":"i","time":1}"#, "user", "NUL"),
            (#"{"user":"u","item":"i","time":1,"text":"a\u0000"}"#, "text", "NUL"),
        ]
    )
    func wrongFieldIsNamed(json: String, field: String, part: String) {
        let error = error(json)
        #expect(error?.field == field)
        #expect(error?.reason.contains(part) == true, "\(String(describing: error))")
    }

    @Test(arguments: ["", "{", "not json", "[1,2]", "\"text\"", "17", #"{"user":"\ud800","item":"i","time":1}"#])
    func bytesThatAreNoObjectAreRefused(json: String) {
        #expect(error(json) != nil)
    }

    @Test func wrongEncodingIsNamed() {
        let latin = Array(#"{"user":"u","item":"i","time":1,"text":""#.utf8) + [0xFC] + Array(#""}"#.utf8)
        #expect(throws: MessageError(field: nil, reason: "is not UTF-8 (0xFC at byte 40): send text in UTF-8")) {
            try Event(decoding: latin, contentType: "application/json")
        }
        var utf16: [UInt8] = [0xFF, 0xFE]
        for unit in #"{"user":"u"}"#.utf16 { utf16 += [UInt8(unit & 0xFF), UInt8(unit >> 8)] }
        #expect(throws: MessageError(field: nil, reason: "is not UTF-8 (0xFF at byte 0): send text in UTF-8")) {
            try Event(decoding: utf16, contentType: "application/json")
        }
        let marked = [0xEF, 0xBB, 0xBF] + Array(#"{"user":"u","item":"i","time":1}"#.utf8)
        #expect(throws: Never.self) { try Event(decoding: marked, contentType: "application/json") }
    }

    @Test func sizesAreLimited() {
        let long = String(repeating: "ü", count: 300)
        let tooLong = error("{\"user\":\"\(long)\",\"item\":\"i\",\"time\":1}")
        #expect(tooLong?.field == "user")
        #expect(tooLong?.reason.contains("has 600 bytes: send at most 512") == true)
        #expect((tooLong?.reason.count ?? 0) < 120)

        let text = String(repeating: "x", count: 65_537)
        #expect(error("{\"user\":\"u\",\"item\":\"i\",\"time\":1,\"text\":\"\(text)\"}")?.field == "text")

        let categories = Array(repeating: "\"c\"", count: 65).joined(separator: ",")
        #expect(
            error("{\"user\":\"u\",\"item\":\"i\",\"time\":1,\"categories\":[\(categories)]}")?.field == "categories"
        )
    }

    @Test(
        arguments: [
            ("1970-01-01T00:00:00Z", 0), ("2000-02-29T12:00Z", 951_825_600_000),
            ("2026-01-31T23:59:59.999Z", 1_769_903_999_999), ("2026-02-01 01:59:59,9999+0200", 1_769_903_999_999),
            ("1999-12-31T18:30:00-05:30", 946_684_800_000),
        ] as [(String, Int64)]
    )
    func readsISO8601(text: String, milliseconds: Int64) throws {
        #expect(try read("{\"user\":\"u\",\"item\":\"i\",\"time\":\"\(text)\"}").time == milliseconds)
    }
}
