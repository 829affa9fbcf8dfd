import Bytes
import Messages
import Testing

@testable import Gateway

@Suite struct QuestionBodyTests {
    private static let now: Int64 = 1_700_000_000_000

    private func read(_ text: String) throws -> Question {
        try QuestionBody(Array(text.utf8)).question(now: Self.now, defaultDeadline: .seconds(30))
    }

    @Test func fillsInWhatIsNotGiven() throws {
        let question = try read(#"{"user":"u","question":"what next?"}"#)
        #expect(question.user == "u" && question.text == "what next?" && question.form == .known)
        #expect(question.askedAt == Self.now && question.deadline == Self.now + 30_000 && question.itemCount == 10)
        #expect(!question.includesSeen)
        #expect(!question.id.text.isEmpty)
        #expect(try read(#"{"user":"u","question":"what next?"}"#).id != question.id)
    }

    @Test func takesEveryField() throws {
        let question = try read(
            """
            {"user":"u","text":"t","form":"title","items":3,"maximum_tokens":5,"temperature":0.5,"id":"q1",
            "seed":18446744073709551615,"minimum_event_count":7,"deadline_ms":250,"asked_at":1699999999,
            "include_seen":true}
            """
        )
        #expect(
            question
                == Question(
                    id: "q1",
                    user: "u",
                    text: "t",
                    form: .title,
                    itemCount: 3,
                    maximumTokens: 5,
                    temperature: 0.5,
                    seed: .max,
                    includesSeen: true,
                    minimumEventCount: 7,
                    askedAt: 1_699_999_999_000,
                    deadline: Self.now + 250
                )
        )
    }

    @Test func takesAConversationAndItsSampling() throws {
        let question = try read(
            """
            {"user":"u","question":"And now?","form":"text","id":"q1","system":"Be brief.","turns":[
            {"role":"user","text":"What next?"},{"text":"Heat","role":"assistant"}],"temperature":0.5,"top_k":40,
            "top_p":0.9,"min_p":0.05,"repetition_penalty":1.1,"presence_penalty":-0.5,"frequency_penalty":0.25,
            "stop":"END"}
            """
        )
        #expect(
            question
                == Question(
                    id: "q1",
                    user: "u",
                    text: "And now?",
                    system: "Be brief.",
                    turns: [.init(role: .user, text: "What next?"), .init(role: .assistant, text: "Heat")],
                    form: .text,
                    temperature: 0.5,
                    topK: 40,
                    topP: 0.9,
                    minP: 0.05,
                    repetitionPenalty: 1.1,
                    presencePenalty: -0.5,
                    frequencyPenalty: 0.25,
                    stop: ["END"],
                    askedAt: Self.now,
                    deadline: Self.now + 30_000
                )
        )
        let several = try read(#"{"user":"u","question":"x","form":"text","stop":["a","b"],"system":""}"#)
        #expect(several.stop == ["a", "b"] && several.system?.isEmpty == true)
    }

    @Test func takesAQuestionInItsJSONForm() throws {
        let now: Int64 = 1_700_000_000_000
        var question = Question(id: "q", user: "ü", text: "t", form: .text, askedAt: now - 5, deadline: now + 77_000)
        #expect(try QuestionBody(question.encodedJSON()).question(now: now, defaultDeadline: .seconds(1)) == question)
        question.system = "s"
        question.turns = [.init(role: .assistant, text: "a\"\n")]
        (question.topK, question.topP, question.minP, question.stop) = (7, 0.3, 0.1, ["\u{1}", "ü"])
        (question.repetitionPenalty, question.presencePenalty, question.frequencyPenalty) = (1.3, 1.7, -1.9)
        #expect(try QuestionBody(question.encodedJSON()).question(now: now, defaultDeadline: .seconds(1)) == question)
    }

    @Test func whatDiffersHasAnotherFingerprint() throws {
        let bodies = [
            "", #","system":"""#, #","system":"s""#, #","turns":[{"role":"user","text":"a"}]"#,
            #","turns":[{"role":"assistant","text":"a"}]"#, #","turns":[{"role":"user","text":"b"}]"#,
            #","top_k":1"#, #","top_p":0.5"#, #","min_p":0.5"#, #","repetition_penalty":0.5"#,
            #","presence_penalty":0.5"#, #","frequency_penalty":0.5"#, #","stop":"s""#, #","stop":["s","t"]"#,
            #","include_seen":true"#,
            // Texts of other bytes that Swift takes for equal.
            #","stop":"\u00fc""#, #","stop":"u\u0308""#, #","system":"\u00fc""#, #","system":"u\u0308""#,
        ]
        let prints = try bodies.map { try read(#"{"user":"u","question":"x","form":"text"\#($0)}"#).fingerprint }
        #expect(Set(prints).count == bodies.count)
        #expect(try prints == bodies.map { try read(#"{"user":"u","question":"x","form":"text"\#($0)}"#).fingerprint })
    }

    @Test(arguments: [
        ("", "body", "JSON"), ("[]", "body", "an array is not a JSON object"), ("{}x", "body", "nothing after"),
        (#"{"user":"u"}"#, "question", "missing"),
        (#"{"question":"x"}"#, "user", "missing"), (#"{"user":"","question":"x"}"#, "user", "empty"),
        (#"{"user":7.5,"question":"x"}"#, "user", "7.5 must be a string, or a whole number"),
        (#"{"user":"u","question":""}"#, "question", "empty"), (#"{"user":"u","text":""}"#, "text", "empty"),
        (#"{"user":"u","question":"x","form":"poem"}"#, "form", "title"),
        (#"{"user":"u","question":"x","items":1001}"#, "items", "from 0 to 1000"),
        (#"{"user":"u","question":"x","items":2.5}"#, "items", "2.5"),
        (#"{"user":"u","question":"x","temperature":-1}"#, "temperature", "-1"),
        (#"{"user":"u","question":"x","temperature":"hot"}"#, "temperature", "a number"),
        (#"{"user":"u","question":"x","seed":-1}"#, "seed", "-1"),
        (#"{"user":"u","question":"x","deadline_ms":0}"#, "deadline_ms", "from 1"),
        (#"{"user":"u","question":"x","deadline_ms":5,"deadline":1700000009}"#, "deadline", "not both"),
        (#"{"user":"u","question":"x","deadline":253402300799999}"#, "deadline", "more than a day"),
        (#"{"user":"u","question":"x","deadline":9}"#, "deadline", "for a time after July 1979"),
        (#"{"user":"u","question":"x","text":"y"}"#, "text", "is given besides question"),
        (#"{"user":"u","user_id":"u","question":"x"}"#, "user_id", "is given besides user"),
        (#"{"user":"u","question":"x","seed":1,"seed":1}"#, "seed", "is given twice"),
        (#"{"user":"u","question":"x","seed":18446744073709551616}"#, "seed", "18446744073709551616"),
        (#"{"user":"u","question":"x","temperature":1e40}"#, "temperature", "1e40"),
        (#"{"user":"u","question":"x",}"#, "body", "a value after the comma"),
        (#"{"user":"u","question":"\ud800"}"#, "question", "surrogate"),
        (#"{"user":"u","question":"x","max_tokens":5}"#, "max_tokens", "maximum_tokens"),
        (#"{"user":"u","question":"x","form":"text","top_p":1.5}"#, "top_p", "1.5 is out of range"),
        (#"{"user":"u","question":"x","form":"text","top_k":-1}"#, "top_k", "-1 is out of range: send 0 to 1000000"),
        (#"{"user":"u","question":"x","form":"text","min_p":-1}"#, "min_p", "-1.0"),
        (#"{"user":"u","question":"x","form":"text","repetition_penalty":0}"#, "repetition_penalty", "0.01"),
        (#"{"user":"u","question":"x","form":"text","presence_penalty":2.5}"#, "presence_penalty", "2.5"),
        (#"{"user":"u","question":"x","form":"text","frequency_penalty":-2.5}"#, "frequency_penalty", "-2.5"),
        (#"{"user":"u","question":"x","form":"text","stop":[1]}"#, "stop[0]", "1 must be a string"),
        (#"{"user":"u","question":"x","form":"text","stop":true}"#, "stop", "a string, or an array of strings"),
        (#"{"user":"u","question":"x","form":"text","turns":[{"role":"tool","text":""}]}"#, "turns[0].role", "one of"),
        (
            #"{"user":"u","question":"x","form":"text","turns":[{"role":"user","content":""}]}"#, "turns[0].content",
            "role, text"
        ),
        (#"{"user":"u","question":"x","system":"s","min_p":0.5}"#, "min_p", "form is known: send the form text"),
        (#"{"user":"u","question":"x","form":"title","stop":"s"}"#, "stop", "form is title: send the form text"),
        ("{\"user\":\"u\\u0000\",\"question\":\"x\"}", "user", "NUL"),
    ])
    func namesTheFieldAndWhatToSend(body: String, field: String, part: String) {
        let error = #expect(throws: MessageError.self) { try read(body) }
        #expect(error?.field == field)
        #expect(error?.reason.contains(part) == true, "\(error?.reason ?? "")")
    }

    @Test func takesOtherNamesNumericIDsAndTimesOfAnyUnit() throws {
        let question = try read(
            #"{"user_id":9007199254740993123,"text":"t","question_id":5,"asked_at":"2023-11-14T22:13:20+00","deadline":1700000001}"#
        )
        #expect(question.user == "9007199254740993123" && question.id == "5")
        #expect(question.askedAt == Self.now && question.deadline == Self.now + 1_000)
    }

    /// The time that reading takes grows with the body and not with its depth: each level costs one step.
    @Test func nestedArraysEndAtTheLimitOfDepth() {
        for depth in [65, 500, 1 << 20] {
            let bodies = [
                String(repeating: "[", count: depth) + String(repeating: "]", count: depth),
                "{\"user\":" + String(repeating: "[", count: depth), String(repeating: "{\"a\":", count: depth),
                "{\"id\":\"q\",\"text\":" + String(repeating: "[{\"a\":", count: depth),
            ]
            for body in bodies {
                let error = #expect(throws: MessageError.self) { try read(body) }
                #expect((error?.description.utf8.count ?? 0) < 500)
            }
        }
        // As deep as is allowed, and wide: still only a wrong value.
        let deep = String(repeating: "[", count: 60) + String(repeating: "]", count: 60)
        let wide = "[" + Array(repeating: deep, count: 5_000).joined(separator: ",") + "]"
        let error = #expect(throws: MessageError.self) { try read("{\"user\":\(wide),\"question\":\"x\"}") }
        #expect(error?.field == "user" && error?.reason.hasPrefix("an array must be a string") == true)
    }

    @Test func saysThatABodyIsNotUTF8() {
        let error = #expect(throws: MessageError.self) { try QuestionBody([0x7B, 0xFC, 0x7D]) }
        #expect(error?.reason.contains("UTF-8") == true)
    }
}
