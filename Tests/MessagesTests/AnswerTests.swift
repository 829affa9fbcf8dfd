import Bytes
import Messages
import Testing

@Suite struct AnswerTests {
    private static let plain = Answer(questionID: "q", user: "u", status: .answered, askedAt: 1, answeredAt: 2)

    @Test(arguments: [nil] + Answer.Finish.allCases, [0, 1, UInt32.max])
    func countsAndFinishAreReadAgain(finish: Answer.Finish?, count: UInt32) throws {
        var answer = Self.plain
        answer.finish = finish
        (answer.promptTokens, answer.answerTokens) = (count, count / 2)
        #expect(try Answer(decoding: answer.encoded(), contentType: nil) == answer)
        let json = try answer.encodedJSON()
        #expect(try Answer(decoding: json, contentType: nil) == answer)
        let text = String(decoding: json, as: UTF8.self)
        #expect(text.contains(#""prompt_tokens":\#(count)"#) && text.contains(#""answer_tokens":\#(count / 2)"#))
        #expect(text.contains(#""finish":"\#(finish?.rawValue ?? "none")""#) == (finish != nil))
    }

    @Test func whatEarlierVersionsDoNotHaveIsUnknown() throws {
        let json = #"{"question_id":"q","user":"u","status":"answered","asked_at":1,"answered_at":2}"#
        #expect(try Answer(decoding: Array(json.utf8), contentType: nil) == Self.plain)
        let empty = #"{"question_id":"q","user":"u","status":"answered","asked_at":1,"answered_at":2,"finish":""}"#
        #expect(try Answer(decoding: Array(empty.utf8), contentType: nil) == Self.plain)
        // finish = FINISH_NONE, as another writer may say it.
        #expect(try Answer(decoding: Self.plain.encoded() + [0x78, 0], contentType: nil) == Self.plain)
    }

    @Test(arguments: [
        (#""finish":"tired""#, "finish", "must be one of stop, length, or empty"), (#""finish":1"#, "finish", "1"),
        (#""prompt_tokens":-1"#, "prompt_tokens", "-1"),
        (#""answer_tokens":4294967296"#, "answer_tokens", "4294967296"),
    ])
    func wrongJSONIsNamed(text: String, field: String, part: String) {
        let json = #"{"question_id":"q","user":"u","status":"answered","asked_at":1,"answered_at":2,\#(text)}"#
        let error = #expect(throws: MessageError.self) { try Answer(decoding: Array(json.utf8), contentType: nil) }
        #expect(error?.field == field)
        #expect(error?.reason.contains(part) == true, "\(error?.reason ?? "")")
    }

    @Test func anUnknownFinishIsNamed() throws {
        let bytes = try Self.plain.encoded() + [0x78, 3]
        #expect(throws: MessageError(field: "finish", reason: "3 is not known: send 0 to 2")) {
            try Answer(decoding: bytes, contentType: nil)
        }
    }
}
