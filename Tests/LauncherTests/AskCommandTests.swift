import Bytes
import Messages
import ServiceRuntime
import Testing

@testable import Launcher

@Suite struct AskCommandTests {
    private func question(_ flags: [String: String]) throws -> Question {
        let reader = try ConfigurationReader(keys: AskCommand.keys, flags: flags, environment: [:], file: nil)
        return try AskCommand.question("what?", of: "u", reader)
    }

    @Test func asksWithDefaults() throws {
        let question = try question([:])
        #expect(question.user == "u" && question.text == "what?" && question.form == .known && question.itemCount == 5)
        #expect(question.deadline == question.askedAt + 30_000)
        #expect(question.maximumTokens == 32 && question.seed == 0 && !question.includesSeen)
        #expect(throws: Never.self) { try question.validate() }
    }

    @Test func seenItemsMayBeIncluded() throws {
        #expect(try question(["include-seen": "true"]).includesSeen)
    }

    @Test func flagsOfFreeTextAreInTheQuestion() throws {
        let flags = [
            "form": "text", "system": "Be brief.", "temperature": "0.5", "top-k": "40", "top-p": "0.9", "stop": "END",
            "maximum-tokens": "8192", "seed": "18446744073709551615",
        ]
        let question = try question(flags)
        #expect(question.form == .text && question.system == "Be brief." && question.temperature == 0.5)
        #expect(question.maximumTokens == 8_192 && question.seed == .max)
        #expect(question.topK == 40 && question.topP == 0.9 && question.stop == ["END"])
        #expect(throws: Never.self) { try question.validate() }
    }

    @Test func aTextMayNameTitles() throws {
        let question = try question(["form": "text-with-titles", "stop": "END"])
        #expect(question.form == .textWithTitles)
        #expect(throws: Never.self) { try question.validate() }
    }

    @Test(arguments: [("top-k", "1"), ("top-p", "0.5"), ("stop", "s")])
    func samplingAndStopNeedFreeText(flag: String, value: String) throws {
        let error = #expect(throws: MessageError.self) { try question([flag: value]).validate() }
        #expect(error?.field == flag.replacing("-", with: "_"))
        #expect(error?.reason.contains("send the form text") == true)
    }

    @Test(arguments: [
        ("top-k", "-1"), ("top-k", "1000001"), ("top-p", "0"), ("top-p", "1.5"), ("temperature", "-1"),
        ("maximum-tokens", "0"), ("maximum-tokens", "8193"), ("seed", "-1"),
    ])
    func refusesWhatIsOutOfRange(flag: String, value: String) {
        let error = #expect(throws: ConfigurationError.self) { try question(["form": "text", flag: value]) }
        #expect(error?.description.contains(flag) == true)
    }

    @Test func anAnswerThatWasCutSaysSo() {
        var answer = Answer(
            questionID: "q",
            user: "u",
            status: .answered,
            text: "It goes on",
            askedAt: 0,
            answeredAt: 5,
            finish: .length
        )
        let text = AskCommand.text(of: answer)
        #expect(text.contains("It goes on\n[cut: ") && text.contains("--maximum-tokens"))
        answer.finish = .stop
        #expect(!AskCommand.text(of: answer).contains("[cut"))
        answer.finish = nil
        #expect(!AskCommand.text(of: answer).contains("[cut"))
    }
}
