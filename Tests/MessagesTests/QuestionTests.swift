import Bytes
import Messages
import Testing

/// The conversation of a question and the sampling of free text, on both wire forms.
@Suite struct QuestionTests {
    private typealias Turn = Question.Turn

    private static let time: Int64 = 1_700_000_000_000

    private static let plain = Question(id: "q", user: "u", text: "?", form: .text, askedAt: time, deadline: time)

    private static func changed(_ change: (inout Question) -> Void) -> Question {
        var question = plain
        change(&question)
        return question
    }

    /// A value of each field that changes something.
    private static func changed(_ field: Question.Field) -> Question {
        changed { question in
            switch field {
            case .system: question.system = "Be brief."
            case .turns: question.turns = [Turn(role: .user, text: "a"), Turn(role: .assistant, text: "")]
            case .topK: question.topK = 40
            case .topP: question.topP = 0.9
            case .minP: question.minP = 0.05
            case .repetitionPenalty: question.repetitionPenalty = 1.1
            case .presencePenalty: question.presencePenalty = -0.7
            case .frequencyPenalty: question.frequencyPenalty = 0.3
            case .stop: question.stop = ["\n\n", "ü"]
            default: Issue.record("\(field.rawValue) is no field of a chat")
            }
        }
    }

    private func read(_ json: String) throws -> Question {
        let rest = #","id":"q","user":"u","text":"?","asked_at":1700000000,"deadline":1700000000}"#
        return try Question(decoding: Array((json + rest).utf8), contentType: nil)
    }

    // MARK: - What is read again

    @Test(arguments: Question.chatFields)
    func eachFieldIsReadAgain(field: Question.Field) throws {
        let question = Self.changed(field)
        #expect(question != Self.plain)
        #expect(try Question(decoding: question.encoded(), contentType: nil) == question)
        let json = try question.encodedJSON()
        #expect(String(decoding: json, as: UTF8.self).contains(#""\#(field.rawValue)":"#))
        #expect(try Question(decoding: json, contentType: nil) == question)
        // What changes nothing is not written.
        #expect(try question.encoded().count > Self.plain.encoded().count)
        #expect(!String(decoding: try Self.plain.encodedJSON(), as: UTF8.self).contains(#""\#(field.rawValue)":"#))
    }

    @Test func anEmptySystemPromptIsNotAMissingOne() throws {
        let question = Self.changed { $0.system = "" }
        for bytes in [try question.encoded(), try question.encodedJSON()] {
            #expect(try Question(decoding: bytes, contentType: nil).system?.isEmpty == true)
        }
        #expect(try Question(decoding: Self.plain.encoded(), contentType: nil).system == nil)
        #expect(try read(#"{"form":"text","system":null"#).system == nil)
    }

    @Test(arguments: Question.AnswerForm.allCases)
    func whetherSeenItemsAreIncludedIsReadAgain(form: Question.AnswerForm) throws {
        var question = Self.changed { ($0.form, $0.includesSeen) = (form, true) }
        for _ in 0..<2 {
            #expect(try Question(decoding: question.encoded(), contentType: nil) == question)
            #expect(try Question(decoding: question.encodedJSON(), contentType: nil) == question)
            question.includesSeen = false
        }
        #expect(!String(decoding: try question.encodedJSON(), as: UTF8.self).contains("include_seen"))
        #expect(try read(#"{"include_seen":true"#).includesSeen)
        let error = #expect(throws: MessageError.self) { try read(#"{"include_seen":1"#) }
        #expect(error?.field == "include_seen")
    }

    @Test func stopIsOneTextOrSeveral() throws {
        #expect(try read(#"{"form":"text","stop":"END""#).stop == ["END"])
        #expect(try read(#"{"form":"text","stop":["a","b"]"#).stop == ["a", "b"])
        #expect(try read(#"{"form":"text","stop":[]"#).stop.isEmpty)
    }

    @Test func theRecordOfAnEarlierVersionHasDefaults() throws {
        // id, user, text, form (text), asked_at and deadline alone.
        let bytes: [UInt8] = [0x0A, 1, 0x71, 0x12, 1, 0x75, 0x1A, 1, 0x3F, 0x20, 3, 0x50, 5, 0x58, 9]
        let question = Question(id: "q", user: "u", text: "?", form: .text, askedAt: 5, deadline: 9)
        #expect(try Question(decoding: bytes, contentType: nil) == question)
        #expect(question.topP == 1 && question.repetitionPenalty == 1 && question.topK == 0)
    }

    // MARK: - Ranges

    private static let edges: [@Sendable (inout Question) -> Void] = [
        { $0.topK = 0 }, { $0.topK = Limits.topK },
        { $0.topP = .leastNonzeroMagnitude }, { $0.topP = 1 },
        { $0.minP = 0 }, { $0.minP = 1 },
        { $0.repetitionPenalty = 0.01 }, { $0.repetitionPenalty = 100 },
        { $0.presencePenalty = -2 }, { $0.presencePenalty = 2 },
        { $0.frequencyPenalty = -2 }, { $0.frequencyPenalty = 2 },
        { $0.stop = Array(repeating: String(repeating: "x", count: 256), count: 8) }, { $0.stop = ["x"] },
        { $0.turns = Array(repeating: Turn(role: .user, text: ""), count: 64) },
        { $0.system = String(repeating: "s", count: 65_535) },
        { question in
            question.system = String(repeating: "ü", count: 16_384)
            question.turns = [
                Turn(role: .assistant, text: String(repeating: "a", count: 32_000)),
                Turn(role: .user, text: String(repeating: "u", count: 767)),
            ]
        },
    ]

    @Test(arguments: edges.indices)
    func whatIsWithinTheLimitsIsTaken(index: Int) throws {
        let question = Self.changed(Self.edges[index])
        #expect(try Question(decoding: question.encoded(), contentType: nil) == question)
        #expect(try Question(decoding: question.encodedJSON(), contentType: nil) == question)
    }

    private static let excesses: [(change: @Sendable (inout Question) -> Void, field: String, part: String)] = [
        ({ $0.topK = -1 }, "top_k", "-1 is out of range: send 0 to 1000000"),
        ({ $0.topK = 1_000_001 }, "top_k", "1000001"), ({ $0.topK = .min }, "top_k", "send 0 to"),
        ({ $0.topP = 0 }, "top_p", "0.0 is out of range: send a number above 0, at most 1"),
        ({ $0.topP = Float(1).nextUp }, "top_p", "1.0000001"), ({ $0.topP = .nan }, "top_p", "nan"),
        ({ $0.minP = -0.1 }, "min_p", "-0.1"), ({ $0.minP = Float(1).nextUp }, "min_p", "send 0.0 to 1.0"),
        ({ $0.minP = .nan }, "min_p", "nan"),
        ({ $0.repetitionPenalty = 0 }, "repetition_penalty", "send 0.01 to 100.0"),
        ({ $0.repetitionPenalty = 100.5 }, "repetition_penalty", "100.5"),
        ({ $0.repetitionPenalty = .infinity }, "repetition_penalty", "inf"),
        ({ $0.presencePenalty = Float(2).nextUp }, "presence_penalty", "send -2.0 to 2.0"),
        ({ $0.presencePenalty = -.infinity }, "presence_penalty", "-inf"),
        ({ $0.frequencyPenalty = Float(-2).nextDown }, "frequency_penalty", "send -2.0 to 2.0"),
        ({ $0.frequencyPenalty = .nan }, "frequency_penalty", "nan"),
        ({ $0.stop = Array(repeating: "x", count: 9) }, "stop", "has 9 entries: send at most 8"),
        ({ $0.stop = ["x", ""] }, "stop[1]", "is empty: leave it out"),
        ({ $0.stop = [String(repeating: "ü", count: 129)] }, "stop[0]", "has 258 bytes: send at most 256"),
        ({ $0.stop = ["a\0"] }, "stop[0]", "NUL"), ({ $0.system = "a\0" }, "system", "NUL"),
        ({ $0.system = String(repeating: "s", count: 65_537) }, "system", "has 65537 bytes: send at most 65536"),
        ({ $0.system = String(repeating: "s", count: 65_536) }, "system", "makes 65537 bytes together with the text"),
        (
            { $0.turns = Array(repeating: Turn(role: .user, text: ""), count: 65) }, "turns",
            "has 65 entries: send the last 64 at most"
        ),
        ({ $0.turns = [Turn(role: .user, text: ""), Turn(role: .user, text: "\0")] }, "turns[1].text", "NUL"),
        (
            { $0.turns = [Turn(role: .user, text: String(repeating: "t", count: 65_537))] }, "turns[0].text",
            "has 65537 bytes"
        ),
        (
            { $0.turns = Array(repeating: Turn(role: .user, text: String(repeating: "t", count: 1_024)), count: 64) },
            "turns", "make 65537 bytes together with the system prompt and the text: send at most 65536 in all"
        ),
    ]

    @Test(arguments: excesses.indices)
    func whatIsBeyondTheLimitsIsNamed(index: Int) {
        let (change, field, part) = Self.excesses[index]
        let question = Self.changed(change)
        for write in [{ try question.encoded() }, { try question.encodedJSON() }] {
            let error = #expect(throws: MessageError.self) { try write() }
            #expect(error?.field == field)
            #expect(error?.reason.contains(part) == true, "\(error?.reason ?? "")")
            #expect((error?.reason.utf8.count ?? .max) < 300)
        }
    }

    @Test(arguments: [
        (#""top_k":1000001"#, "top_k", "1000001 is out of range"), (#""top_k":2.5"#, "top_k", "2.5"),
        (#""top_k":1e400"#, "top_k", "1e400"), (#""top_k":99999999999999999999"#, "top_k", "99999999999999999999"),
        (#""top_p":0"#, "top_p", "above 0"), (#""top_p":"all""#, "top_p", "a number"),
        (#""min_p":1.5"#, "min_p", "1.5"), (#""repetition_penalty":-1"#, "repetition_penalty", "-1.0"),
        (#""presence_penalty":3"#, "presence_penalty", "3.0"),
        (#""frequency_penalty":-3"#, "frequency_penalty", "-3.0"),
        (#""stop":7"#, "stop", "7 must be a string, or an array of strings"), (#""stop":["a",7]"#, "stop[1]", "7"),
        (#""stop":"""#, "stop[0]", "is empty"), (#""stop":{}"#, "stop", "a string, or an array"),
        (#""system":["a"]"#, "system", "a string"), (#""turns":{}"#, "turns", "an array"),
        (#""turns":["a"]"#, "turns[0]", "is not a JSON object"), (#""turns":[null]"#, "turns[0]", "object"),
        (#""turns":[{"text":"a"}]"#, "turns[0].role", "is missing: send user or assistant"),
        (#""turns":[{"role":"user","content":"a"}]"#, "turns[0].text", "is missing"),
        (#""turns":[{"role":"user","text":"a"},{"role":"system","text":"a"}]"#, "turns[1].role", "field system"),
        (#""turns":[{"role":"user","role":"user","text":"a"}]"#, "turns[0].role", "twice"),
        (#""system":"a","system":"a""#, "system", "is given twice"),
    ])
    func wrongJSONIsNamed(text: String, field: String, part: String) {
        let error = #expect(throws: MessageError.self) { try read(#"{"form":"text","# + text) }
        #expect(error?.field == field)
        #expect(error?.reason.contains(part) == true, "\(error?.reason ?? "")")
    }

    // MARK: - Protocol Buffers of others

    /// Fields behind a question of the form `text`, and what is wrong with them.
    @Test(
        arguments: [
            ([0x70, 0xFF, 0xFF, 0xFF, 0xFF, 0x0F], "top_k", "4294967295"),
            // A turn of role 7, one without a role, and one that is not UTF-8.
            ([0x6A, 2, 8, 7], "turns[0].role", "7 is not known: send 1 (user) or 2 (assistant)"),
            ([0x6A, 3, 0x12, 1, 0x61], "turns[0].role", "0 is not known"),
            ([0x6A, 2, 8, 1, 0x6A, 5, 8, 2, 0x12, 1, 0xFC], "turns[1].text", "UTF-8"),
            // A stop text that is empty, and one with a NUL; a system prompt with a NUL; top_p 0 and NaN.
            ([0xA2, 1, 0], "stop[0]", "is empty"), ([0xA2, 1, 1, 0], "stop[0]", "NUL"),
            ([0x62, 1, 0], "system", "NUL"),
            ([0x7D, 0, 0, 0, 0], "top_p", "above 0"), ([0x7D, 0, 0, 0xC0, 0x7F], "top_p", "nan"),
        ] as [([UInt8], String, String)]
    )
    func wrongProtobufIsNamed(bytes: [UInt8], field: String, part: String) throws {
        let question = try Self.plain.encoded() + bytes
        let error = #expect(throws: MessageError.self) { try Question(decoding: question, contentType: nil) }
        #expect(error?.field == field)
        #expect(error?.reason.contains(part) == true, "\(error?.reason ?? "")")
    }

    @Test func aRecordFullOfTurnsIsRefusedByItsCount() throws {
        let plain = try Self.plain.encoded()
        for (part, field) in [([0x6A, 2, 8, 1], "turns"), ([0xA2, 1, 1, 0x61], "stop")] as [([UInt8], String)] {
            let bytes = plain + Array(repeating: part, count: 250_000).joined()
            let error = #expect(throws: MessageError.self) { try Question(decoding: bytes, contentType: nil) }
            #expect(error?.field == field && error?.reason.hasPrefix("has 250000 entries: send ") == true)
        }
    }

    // MARK: - The form

    @Test(arguments: Question.chatFields)
    func aTextWithTitlesIsFreeText(field: Question.Field) throws {
        var question = Self.changed(field)
        question.form = .textWithTitles
        #expect(try Question(decoding: question.encoded(), contentType: nil) == question)
        #expect(try Question(decoding: question.encodedJSON(), contentType: nil) == question)
        #expect(try String(decoding: question.encodedJSON(), as: UTF8.self).contains(#""form":"text-with-titles""#))
    }

    private static let catalogueForms: [Question.AnswerForm] = [.known, .title, .category]

    @Test(arguments: [Question.Field.system, .turns], catalogueForms)
    func aConversationComesBeforeEveryForm(field: Question.Field, form: Question.AnswerForm) throws {
        var question = Self.changed(field)
        question.form = form
        #expect(try Question(decoding: question.encoded(), contentType: nil) == question)
        #expect(try Question(decoding: question.encodedJSON(), contentType: nil) == question)
    }

    @Test(arguments: Question.chatFields.filter { $0 != .system && $0 != .turns }, catalogueForms)
    func onlyFreeTextIsSampledAndStopped(field: Question.Field, form: Question.AnswerForm) throws {
        var question = Self.changed(field)
        let bytes = try question.encoded()
        question.form = form
        let error = #expect(throws: MessageError.self) { try question.encoded() }
        #expect(error?.field == field.rawValue)
        let advice = " is for free text, and form is \(form.rawValue): send the form text, or leave it out"
        #expect(error?.reason.hasSuffix(advice) == true, "\(error?.reason ?? "")")
        // The last form in the bytes counts: 0 is `known`.
        #expect(throws: MessageError.self) { try Question(decoding: bytes + [0x20, 0], contentType: nil) }
        // What changes nothing may be said with any form.
        var plain = Self.plain
        plain.form = form
        #expect(try Question(decoding: plain.encoded(), contentType: nil) == plain)
        let neutral =
            #""top_k":0,"top_p":1,"min_p":-0.0,"repetition_penalty":1,"presence_penalty":0,"frequency_penalty":0"#
        #expect(try read(#"{"form":"\#(form.rawValue)","stop":[],"turns":[],"system":null,\#(neutral)"#) == plain)
    }

    @Test func aConversationIsAsLongAsAllOfItsTexts() {
        let question = Self.changed {
            $0.system = "ü"
            $0.turns = [Turn(role: .user, text: "abc"), Turn(role: .assistant, text: "")]
        }
        #expect(question.conversationByteCount == 6 && Self.plain.conversationByteCount == 1)
    }
}
