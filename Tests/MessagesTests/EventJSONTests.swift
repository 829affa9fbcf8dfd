import Bytes
import JSON
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

    /// Each text twice: as producers write it, and with one more field.
    @Test(
        arguments: [
            #"{"user":"u","item":"i","time":1700000000000}"#,
            #" { "user" : "ü/ 1" , "item":"i", "time" : 1700000000123 } "#,
            #"{"user":"u","item":"i","time":"2001-01-01T00:12:40.250+02:00","rating":4.5,"event_id":"e","type":"t"}"#,
            #"{"user":"u","item":"i","time":1700000000000,"rating":0,"categories":[],"text":""}"#,
            #"{"user":"u","item":"i","time":1700000000000,"rating":16777216,"categories":["a","b c"]}"#,
            #"{"user":"u","item":"i","time":1700000000000,"rating":0.1}"#,
            #"{"user":"u","item":"i","time":1700000000000,"rating":3.1415927}"#,
            #"{"user":"u","item":"i","time":1700000000000,"rating":123456789}"#,
            #"{"user":"u","item":"i","time":1700000000000,"rating":-1.5e2}"#,
            #"{"user":"a\"b","item":"i\u00fc","time":1700000000000}"#, #"{"user":"u","item":"i","time":1.7e12}"#,
            #"{"user":"u","item":"i","time":1700000000000,"rating":null}"#,
        ]
    )
    func aFieldThatIsNotKnownChangesNothing(json: String) throws {
        let end = try #require(json.lastIndex(of: "}"))
        let general = json[..<end] + #","device":null}"#
        #expect(try read(json) == read(String(general)))
    }

    @Test(
        arguments: [
            #"{"user":"u","item":"i","time":01700000000000}"#,
            #"{"user":"u","item":"i","time":1700000000000,"rating":1.}"#,
            #"{"user":"u","item":"i","time":1700000000000,"rating":.5}"#,
            #"{"user":"u","item":"i","time":1700000000000} x"#, #"{"user":"u","item":"i","time":1"#,
            #"{"user":"u" "item":"i","time":1700000000000}"#,
            "{\"user\":\"u\u{1}\",\"item\":\"i\",\"time\":1700000000000}", #"{"user":"u","item":"i","time":-1.5}"#,
        ]
    )
    func whatIsNoJSONIsRefused(json: String) {
        #expect(error(json) != nil)
    }

    @Test func nullIsMissing() throws {
        let event = try read(#"{"user":"u","item":"i","rating":null,"text":null,"time":1700000000000}"#)
        #expect(event == Event(user: "u", item: "i", time: 1_700_000_000_000))
    }

    @Test func missingTimeIsWhenItWasReceived() throws {
        #expect(try read(#"{"user":"u","item":"i"}"#, receivedAt: 77).time == 77)
        #expect(try read(#"{"user":"u","item":"i","time":1700000000000}"#, receivedAt: 77).time == 1_700_000_000_000)
        #expect(error(#"{"user":"u","item":"i"}"#)?.field == "time")
    }

    @Test(
        arguments: [
            (#"{"item":"i","time":1700000000000}"#, "user", "is missing"),
            (#"{"user":"u","time":1700000000000}"#, "item", "is missing"),
            (#"{"user":"","item":"i","time":1700000000000}"#, "user", "is empty"),
            (#"{"user":4.2,"item":"i","time":1700000000000}"#, "user", "4.2 must be a string, or a whole number"),
            (#"{"user":true,"item":"i","time":1700000000000}"#, "user", "true must be a string"),
            (#"{"user":"a\ud800b","item":"i","time":1700000000000}"#, "user", "half of a surrogate pair"),
            (
                #"{"user":"u","item":"i","time":1700000000000,"rating":1e400}"#, "rating",
                "1e400 must be a number"
            ),
            (#"{"user":["u"],"item":"i","time":1700000000000}"#, "user", "an array must be a string"),
            (#"{"user":"u","item":{"id":1},"time":1700000000000}"#, "item", "an object must be a string"),
            (#"{"user":"u","item":"i","time":1700000000000,"rating":"five"}"#, "rating", "\"five\" must be a number"),
            (#"{"user":"u","item":"i","time":1700000000000,"rating":true}"#, "rating", "must be a number"),
            (#"{"user":"u","item":"i","time":1700000000000,"rating":1e300}"#, "rating", "must be a number"),
            (
                #"{"user":"u","item":"i","time":1700000000000,"categories":"Action"}"#, "categories",
                "\"Action\" must be an array"
            ),
            (
                #"{"user":"u","item":"i","time":1700000000000,"categories":["a",3]}"#, "categories[1]",
                "3 must be a string"
            ),
            (#"{"user":"u","item":"i","time":1700000000000,"categories":["a",""]}"#, "categories[1]", "is empty"),
            (#"{"user":"u","item":"i","time":"yesterday"}"#, "time", "\"yesterday\" must be"),
            (#"{"user":"u","item":"i","time":"2001-02-29T00:00:00Z"}"#, "time", "ISO 8601"),
            (#"{"user":"u","item":"i","time":"2001-02-28T00:00:00"}"#, "time", "time zone"),
            (#"{"user":"u","item":"i","time":86400}"#, "time", "86400 must be an ISO 8601 text"),
            (#"{"user":"u","item":"i","time":0}"#, "time", "for a time after July 1979"),
            (#"{"user":"u","item":"i","time":-1}"#, "time", "milliseconds"),
            (#"{"user":"u","item":"i","time":[1]}"#, "time", "must be a number"),
            (#"{"user":"u","item":"i","time":"1970-02-01T00:00:00Z"}"#, "time", "looks like seconds"),
            (#"{"user":"a\u0000b","item":"i","time":1700000000000}"#, "user", "NUL"),
            (#"{"user":"u","item":"i","time":1700000000000,"text":"a\u0000"}"#, "text", "NUL"),
        ]
    )
    func wrongFieldIsNamed(json: String, field: String, part: String) {
        let error = error(json)
        #expect(error?.field == field)
        #expect(error?.reason.contains(part) == true, "\(String(describing: error))")
    }

    @Test(arguments: [
        "", "{", "not json", "[1,2]", "\"text\"", "17", #"{"user":"\ud800","item":"i","time":1700000000000}"#,
    ])
    func bytesThatAreNoObjectAreRefused(json: String) {
        #expect(error(json) != nil)
    }

    @Test func wrongEncodingIsNamed() {
        let latin = Array(#"{"user":"u","item":"i","time":1700000000000,"text":""#.utf8) + [0xFC] + Array(#""}"#.utf8)
        #expect(throws: MessageError(field: "text", reason: "is not UTF-8 (0xFC at byte 53): send text in UTF-8")) {
            try Event(decoding: latin, contentType: "application/json")
        }
        var utf16: [UInt8] = [0xFF, 0xFE]
        for unit in #"{"user":"u"}"#.utf16 { utf16 += [UInt8(unit & 0xFF), UInt8(unit >> 8)] }
        #expect(throws: MessageError.self) { try Event(decoding: utf16, contentType: "application/json") }
        let marked = [0xEF, 0xBB, 0xBF] + Array(#"{"user":"u","item":"i","time":1700000000000}"#.utf8)
        #expect(throws: Never.self) { try Event(decoding: marked, contentType: "application/json") }
    }

    // MARK: - Names

    @Test(arguments: [
        #"{"user_id":"u","item_id":"i","timestamp":1700000000000,"event_type":"t","eventId":"e"}"#,
        #"{"userId":"u","itemId":"i","ts":1700000000,"eventType":"t","event_id":"e"}"#,
        #"{"user":"u","item":"i","event_time":"2023-11-14T22:13:20Z","type":"t","event_id":"e"}"#,
        #"{"us\u0065r":"u","item":"i","eventTime":1700000000000000,"type":"t","event_id":"e"}"#,
    ])
    func otherNamesMeanTheSame(json: String) throws {
        #expect(try read(json) == Event(id: "e", user: "u", item: "i", type: "t", time: 1_700_000_000_000))
    }

    @Test(arguments: [
        (#"{"user":"u","user":"v","item":"i"}"#, "user", "is given twice"),
        (#"{"user":"u","user_id":"u","item":"i"}"#, "user_id", "is given besides user"),
        (#"{"user_id":"u","userId":"u","item":"i"}"#, "userId", "is given besides user_id"),
        (
            #"{"user":"u","item":"i","time":1700000000000,"timestamp":1700000000000}"#, "timestamp",
            "is given besides time"
        ),
        (#"{"user":"u","item":"i","item":null}"#, "item", "is given twice"),
        (#"{"user":"u","item":"i","rating":1,"rating":1}"#, "rating", "is given twice"),
        (#"{"user":"u","item":"i","text":"a","t\u0065xt":"b"}"#, "text", "is given twice"),
    ])
    func aFieldThatIsGivenTwiceIsNamed(json: String, field: String, part: String) {
        let error = error(json)
        #expect(error?.field == field)
        #expect(error?.reason.contains(part) == true, "\(String(describing: error))")
    }

    @Test func unknownFieldsAreListedOrRefusedAsTheCallerWants() throws {
        let text = #"{"user":"u","item":"i","foo":{"user":[1]},"bar":null,"foo":1}"#
        let bytes = Array(text.utf8)
        var unknown = UnknownFields(.listed)
        let event = try CheckedEvent(json: bytes, 0..<bytes.count, receivedAt: 1, unknown: &unknown).event
        #expect(event == Event(user: "u", item: "i", time: 1))
        #expect(unknown.names == ["foo", "bar"] && !unknown.hasMore)
        var refused = UnknownFields(.refused)
        let error = #expect(throws: MessageError.self) {
            try CheckedEvent(json: bytes, 0..<bytes.count, receivedAt: 1, unknown: &refused).event
        }
        #expect(error?.field == "foo")
        #expect(error?.reason.contains("is not a field of an event: there are user, item, time") == true)
    }

    @Test func aCheckedEventIsWrittenAsAnyOther() throws {
        let bytes = Array(#"{"user":"u","item":"i","rating":4.5,"categories":["a"],"text":"t","event_id":7}"#.utf8)
        var unknown = UnknownFields(.ignored)
        let event = try CheckedEvent(json: bytes, 0..<bytes.count, receivedAt: 1_700_000_000_000, unknown: &unknown)
            .event
        let checked = try CheckedEvent(
            json: bytes,
            0..<bytes.count,
            receivedAt: 1_700_000_000_000,
            unknown: &unknown
        )
        #expect(try checked.encoded() == event.encoded())
        #expect(checked.user == event.user)
        // Read, but over a limit.
        let long = Array(#"{"user":"\#(String(repeating: "u", count: 2_000))","item":"i"}"#.utf8)
        #expect(throws: MessageError.self) {
            try CheckedEvent(json: long, 0..<long.count, receivedAt: 1_700_000_000_000, unknown: &unknown)
        }
    }

    @Test func theListOfUnknownFieldsHasABound() throws {
        let fields = (0..<1_000).map { "\"x\($0)\(String(repeating: "y", count: 1_000))\":1" }.joined(separator: ",")
        let bytes = Array("{\"user\":\"u\",\"item\":\"i\",\(fields)}".utf8)
        var unknown = UnknownFields(.listed)
        _ = try CheckedEvent(json: bytes, 0..<bytes.count, receivedAt: 1, unknown: &unknown).event
        #expect(unknown.names.count == UnknownFields.maximumCount && unknown.hasMore)
        #expect(unknown.names.allSatisfy { $0.utf8.count <= 64 })
    }

    @Test func aNumbersDigitsAreTheID() throws {
        let event = try read(#"{"user":9007199254740993123,"item":7,"event_id":12,"time":1700000000}"#)
        #expect(event == Event(id: "12", user: "9007199254740993123", item: "7", time: 1_700_000_000_000))
    }

    /// What Python, JavaScript, pandas and PostgreSQL write of one moment.
    @Test(arguments: [
        "1700000000.25", "1700000000250", "1700000000250.0", "1700000000250000", "1700000000250000000",
        "1.70000000025e9",
        "\"2023-11-14T22:13:20.250+00\"", "\"2023-11-14 22:13:20.25Z\"",
    ])
    func aTimesUnitIsToldByItsSize(time: String) throws {
        #expect(try read("{\"user\":\"u\",\"item\":\"i\",\"time\":\(time)}").time == 1_700_000_000_250)
    }

    @Test(
        arguments: [0, 5, 86_400_000, 299_999_999, 10_000_000_000, 1_700_000_000_250, 253_402_300_799_999] as [Int64]
    )
    func whatIsWrittenIsReadAsTheSame(time: Int64) throws {
        let event = Event(user: "u", item: "i", time: time)
        #expect(try Event(decoding: event.encodedJSON(), contentType: nil) == event)
    }

    @Test(arguments: [300_000_000, 789_652_009, 1_588_687_728, 9_999_999_999] as [Int64])
    func secondsInProtocolBuffersAreNamed(time: Int64) {
        var bytes: [UInt8] = [0x0A, 1, 0x61, 0x12, 1, 0x69, 0x18]
        var rest = UInt64(time)
        while rest >= 0x80 {
            bytes.append(UInt8(rest & 0x7F) | 0x80)
            rest >>= 7
        }
        bytes.append(UInt8(rest))
        let error = #expect(throws: MessageError.self) { try Event(decoding: bytes, contentType: nil) }
        #expect(error?.field == "time")
        #expect(error?.reason.contains("looks like seconds: multiply it by 1,000") == true)
        // A timeline may have such a time from before it was refused.
        let timeline = Timeline(user: "u", eventCount: 1, events: [TimelineEvent(item: "i", time: time)])
        #expect(throws: Never.self) { try Timeline(decoding: timeline.encoded(), contentType: nil) }
        #expect(throws: Never.self) { try Timeline(decoding: timeline.encodedJSON(), contentType: nil) }
    }

    @Test func sizesAreLimited() {
        let long = String(repeating: "ü", count: 300)
        let tooLong = error("{\"user\":\"\(long)\",\"item\":\"i\",\"time\":1700000000000}")
        #expect(tooLong?.field == "user")
        #expect(tooLong?.reason.contains("has 600 bytes: send at most 512") == true)
        #expect((tooLong?.reason.count ?? 0) < 120)

        let text = String(repeating: "x", count: 65_537)
        #expect(error("{\"user\":\"u\",\"item\":\"i\",\"time\":1700000000000,\"text\":\"\(text)\"}")?.field == "text")

        let categories = Array(repeating: "\"c\"", count: 65).joined(separator: ",")
        #expect(
            error("{\"user\":\"u\",\"item\":\"i\",\"time\":1700000000000,\"categories\":[\(categories)]}")?.field
                == "categories"
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
