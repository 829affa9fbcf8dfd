import ChatTemplates
import Foundation
import Testing
import Tokenization

/// Conversations as `transformers` renders them, from Fixtures/ChatTemplates/make-golden.py.
@Suite struct ChatTemplateTests {
    private let golden: GoldenRenderings
    private let today: ChatDate

    init() throws {
        golden = try GoldenRenderings()
        today = try ChatDate(year: 2025, month: 3, day: 5)
    }

    @Test func publishedTemplatesAreRecognised() throws {
        for entry in golden.templates {
            #expect(try ChatTemplate.recognised(in: entry.template).name == entry.name)
            // What Jinja does not see makes no difference.
            var layout = entry.template.replacing("\n", with: "\r\n")
            if !layout.hasSuffix("\r\n") { layout += "\r\n" }
            #expect(try ChatTemplate.recognised(in: layout).name == entry.name)
        }
        #expect(Set(golden.templates.map(\.name)) == Set(ChatTemplate.names))
    }

    @Test func conversationsAreRenderedAsTransformersRendersThem() throws {
        var (compared, refused) = (0, 0)
        for entry in golden.templates {
            var template = try ChatTemplate.recognised(in: entry.template)
            template.beginningOfText = entry.begin
            template.endOfText = entry.end
            for (index, messages) in golden.conversations.enumerated() {
                for (isOpen, wanted) in [(true, entry.open[index]), (false, entry.closed[index])] {
                    guard let wanted else {
                        #expect(throws: ChatTemplateError.self, "\(entry.name), conversation \(index)") {
                            try template.render(messages, addGenerationPrompt: isOpen, today: today)
                        }
                        refused += 1
                        continue
                    }
                    let pieces = try template.render(messages, addGenerationPrompt: isOpen, today: today)
                    let text = pieces.map(\.text).joined()
                    #expect(bytes(text) == bytes(wanted), "\(entry.name), conversation \(index): \(text)")
                    compared += 1
                }
            }
        }
        #expect(compared == 486 && refused == 26)
    }

    @Test func aTemplateOfANameIsTheRecognisedOne() throws {
        for entry in golden.templates where entry.name != "chatml" {
            var recognised = try ChatTemplate.recognised(in: entry.template)
            var named = try ChatTemplate(named: entry.name)
            (recognised.endOfText, named.endOfText) = ("", "")
            #expect(recognised == named)
        }
    }

    /// Llama 3.2's template asks the clock, Llama 3.1's has a day of its own.
    @Test(arguments: [("llama3.1", "26 Jul 2024"), ("llama3.2", "29 Feb 2028")])
    func theDayIsTheTemplates(name: String, day: String) throws {
        let entry = try #require(golden.templates.first { $0.name == name })
        // 2028-02-29T23:59:59.999Z.
        let today = try ChatDate(millisecondsSince1970: 1_835_481_599_999)
        let pieces = try ChatTemplate.recognised(in: entry.template)
            .render([ChatMessage(.user, "Hi")], addGenerationPrompt: true, today: today)
        #expect(pieces.map(\.text).joined().contains("Today Date: \(day)\n\n"))
    }

    @Test func daysAreThoseOfUTC() throws {
        func text(_ milliseconds: Int64) throws -> String {
            try ChatDate(millisecondsSince1970: milliseconds).text
        }
        #expect(try text(0) == "01 Jan 1970" && text(-1) == "31 Dec 1969")
        #expect(try text(86_399_999) == "01 Jan 1970" && text(86_400_000) == "02 Jan 1970")
        #expect(try text(951_782_400_000) == "29 Feb 2000" && text(4_107_542_400_000) == "01 Mar 2100")
        #expect(try text(-62_135_596_800_000) == "01 Jan 0001" && text(253_402_300_799_999) == "31 Dec 9999")
        for none: Int64 in [-62_135_596_800_001, 253_402_300_800_000, .min, .max] {
            #expect(throws: ChatTemplateError.self) { try ChatDate(millisecondsSince1970: none) }
        }
        var calendar = Calendar(identifier: .gregorian)
        calendar.timeZone = .gmt
        for day in stride(from: Int64(-40_000), to: 400_000, by: 97) {
            let date = Date(timeIntervalSince1970: Double(day) * 86_400)
            let parts = calendar.dateComponents([.year, .month, .day], from: date)
            let wanted = try ChatDate(year: parts.year ?? 0, month: parts.month ?? 0, day: parts.day ?? 0)
            #expect(try ChatDate(millisecondsSince1970: day * 86_400_000) == wanted)
        }
    }

    @Test func anAnswerWithoutThoughtIsOpenedAsQwenDoes() throws {
        let entry = try #require(golden.templates.first { $0.thoughtless != nil })
        let wanted = try #require(entry.thoughtless)
        for (messages, text) in zip(golden.conversations, wanted) {
            let pieces = try ChatTemplate(named: "qwen3")
                .render(messages, addGenerationPrompt: true, today: today, thinks: false)
            #expect(bytes(pieces.map(\.text).joined()) == bytes(text))
        }
    }

    @Test func aSystemMessageOfItsOwnIsReadFromChatML() throws {
        let smol = try #require(golden.templates.first { $0.name == "smollm2" }).template
        let other = smol.replacing("named SmolLM, trained by Hugging Face", with: "of the house")
        #expect(other != smol)
        let template = try ChatTemplate.recognised(in: other)
        let pieces = try template.render([ChatMessage(.user, "Hi")], addGenerationPrompt: false, today: today)
        #expect(pieces.first == .mark("<|im_start|>"))
        #expect(pieces.dropFirst().first == .text("system\nYou are a helpful AI assistant of the house"))
    }

    /// Any change of what Jinja would do, however small, makes a template unknown.
    @Test func aChangedTemplateIsUnknown() throws {
        for entry in golden.templates {
            for (old, new) in [
                ("assistant", "Assistant"), ("message", "messages"), ("%}", "%} "), ("'", "\""), ("{{", "{{-x"),
                ("endif", "else"),
            ] {
                guard let range = entry.template.range(of: old, options: .backwards) else { continue }
                let changed = entry.template.replacingCharacters(in: range, with: new)
                #expect(throws: ChatTemplateError.self, "\(entry.name): \(old)") {
                    try ChatTemplate.recognised(in: changed)
                }
            }
        }
        for system in ["it's", "a\\tb", "<|im_end|>", "{{ x }}"] {
            let smol = try #require(golden.templates.first { $0.name == "smollm2" }).template
            let changed = smol.replacing("You are a helpful AI assistant named SmolLM", with: system)
            #expect(throws: ChatTemplateError.self) { try ChatTemplate.recognised(in: changed) }
        }
    }

    @Test func anUnknownTemplateIsNamed() {
        let long = String(repeating: "{", count: 2_000_000)
        for text in ["{{ bos_token }}[INST] {{ messages }}", "", "{%", "{{ '", "{# open", long] {
            do throws(ChatTemplateError) {
                _ = try ChatTemplate.recognised(in: text)
                Issue.record("recognised \(text.prefix(40))")
            } catch {
                let beginning = "{{ bos_token }}[INST] {{ messages }}"
                #expect(text != beginning || error.description.contains(beginning))
                #expect(error.description.contains("--chat-template NAME"))
                for name in ChatTemplate.names { #expect(error.description.contains(name)) }
            }
        }
        do throws(ChatTemplateError) {
            _ = try ChatTemplate(named: "mistral")
            Issue.record("there is a template mistral")
        } catch {
            #expect(error.description.contains("\"mistral\"") && error.description.contains("chatml, smollm2"))
        }
    }

    @Test func rolesThatATemplateRefusesAreNamed() throws {
        let turns = [ChatMessage(.user, "a"), ChatMessage(.user, "b")]
        do throws(ChatTemplateError) {
            _ = try ChatTemplate(named: "gemma").render(turns, addGenerationPrompt: true, today: today)
            Issue.record("rendered two questions in a row")
        } catch {
            #expect(error.description.contains("messages[1]") && error.description.contains("role user"))
        }
        do throws(ChatTemplateError) {
            _ = try ChatTemplate(named: "gemma")
                .render([ChatMessage(.system, "a")], addGenerationPrompt: true, today: today)
            Issue.record("rendered a system message")
        } catch {
            #expect(error.description.contains("messages[0]"))
        }
    }

    @Test func lengthsAreBounded() throws {
        let template = try ChatTemplate(named: "chatml")
        #expect(throws: ChatTemplateError.empty) { try template.render([], addGenerationPrompt: true, today: today) }
        let many = [ChatMessage](repeating: ChatMessage(.user, ""), count: 10_001)
        #expect(throws: ChatTemplateError.self) { try template.render(many, addGenerationPrompt: true, today: today) }
        let long = ChatMessage(.user, String(repeating: "x", count: 16 << 20 + 1))
        #expect(throws: ChatTemplateError.self) { try template.render([long], addGenerationPrompt: true, today: today) }
        for (year, month, day) in [(0, 1, 1), (10_000, 1, 1), (2024, 0, 1), (2024, 13, 1), (2024, 1, 0), (2024, 1, 32)]
        {
            #expect(throws: ChatTemplateError.self) { try ChatDate(year: year, month: month, day: day) }
        }
        #expect(try ChatDate(year: 2024, month: 12, day: 9).text == "09 Dec 2024")
    }

    private func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }
}
