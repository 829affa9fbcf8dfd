import Identifiers
import Messages
import Testing

@testable import Gateway

@Suite struct QuestionBodyTests {
    private func read(_ text: String) throws -> Question {
        try QuestionBody(Array(text.utf8)).question(now: 1_000, defaultDeadline: .seconds(30))
    }

    @Test func fillsInWhatIsNotGiven() throws {
        let question = try read(#"{"user":"u","question":"what next?"}"#)
        #expect(question.user == "u" && question.text == "what next?" && question.form == .known)
        #expect(question.askedAt == 1_000 && question.deadline == 31_000 && question.itemCount == 10)
        #expect(!question.id.text.isEmpty)
        #expect(try read(#"{"user":"u","question":"what next?"}"#).id != question.id)
    }

    @Test func takesEveryField() throws {
        let question = try read(
            """
            {"user":"u","text":"t","form":"title","items":3,"maximum_tokens":5,"temperature":0.5,"id":"q1",
            "seed":18446744073709551615,"minimum_event_count":7,"deadline_ms":250,"asked_at":900}
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
                    minimumEventCount: 7,
                    askedAt: 900,
                    deadline: 1_250
                )
        )
    }

    @Test func takesAQuestionInItsJSONForm() throws {
        let now: Int64 = 1_700_000_000_000
        let question = Question(id: "q", user: "ü", text: "t", form: .text, askedAt: now - 5, deadline: now + 77_000)
        #expect(try QuestionBody(question.encodedJSON()).question(now: now, defaultDeadline: .seconds(1)) == question)
    }

    @Test(arguments: [
        ("", "body", "JSON"), ("[]", "body", "an array"), (#"{"user":"u"}"#, "question", "missing"),
        (#"{"question":"x"}"#, "user", "missing"), (#"{"user":"","question":"x"}"#, "user", "empty"),
        (#"{"user":7,"question":"x"}"#, "user", "7 is not allowed"),
        (#"{"user":"u","question":""}"#, "question", "empty"), (#"{"user":"u","text":""}"#, "text", "empty"),
        (#"{"user":"u","question":"x","form":"poem"}"#, "form", "title"),
        (#"{"user":"u","question":"x","items":1001}"#, "items", "from 0 to 1000"),
        (#"{"user":"u","question":"x","items":2.5}"#, "items", "2.5"),
        (#"{"user":"u","question":"x","temperature":-1}"#, "temperature", "-1"),
        (#"{"user":"u","question":"x","temperature":"hot"}"#, "temperature", "a number"),
        (#"{"user":"u","question":"x","seed":-1}"#, "seed", "-1"),
        (#"{"user":"u","question":"x","deadline_ms":0}"#, "deadline_ms", "from 1"),
        (#"{"user":"u","question":"x","deadline_ms":5,"deadline":9}"#, "deadline", "not both"),
        (#"{"user":"u","question":"x","deadline":253402300799999}"#, "deadline", "more than a day"),
        (#"{"user":"u","question":"x","max_tokens":5}"#, "max_tokens", "maximum_tokens"),
        ("{\"user\":\"u\\u0000\",\"question\":\"x\"}", "user", "NUL"),
    ])
    func namesTheFieldAndWhatToSend(body: String, field: String, part: String) {
        let error = #expect(throws: MessageError.self) { try read(body) }
        #expect(error?.field == field)
        #expect(error?.reason.contains(part) == true, "\(error?.reason ?? "")")
    }

    @Test func saysThatABodyIsNotUTF8() {
        let error = #expect(throws: MessageError.self) { try QuestionBody([0x7B, 0xFC, 0x7D]) }
        #expect(error?.reason.contains("UTF-8") == true)
    }
}
