import ChatTemplates
import Foundation
import Testing
import Tokenization

/// Conversations as `transformers` renders them, from Fixtures/ChatTemplates/make-golden.py.
@Suite struct ChatTemplateTests {
    private let golden: GoldenRenderings

    init() throws { golden = try GoldenRenderings() }

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
        let date = try ChatDate(year: 2025, month: 3, day: 5)
        var (compared, refused) = (0, 0)
        for entry in golden.templates {
            var template = try ChatTemplate.recognised(in: entry.template)
            template.beginningOfText = entry.begin
            template.endOfText = entry.end
            for (index, messages) in golden.conversations.enumerated() {
                for (isOpen, wanted) in [(true, entry.open[index]), (false, entry.closed[index])] {
                    guard let wanted else {
                        #expect(throws: ChatTemplateError.self, "\(entry.name), conversation \(index)") {
                            try template.render(messages, addGenerationPrompt: isOpen, date: date)
                        }
                        refused += 1
                        continue
                    }
                    let pieces = try template.render(messages, addGenerationPrompt: isOpen, date: date)
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

    @Test func withoutADateLlamaTellsItsOwn() throws {
        let entry = try #require(golden.templates.first { $0.undated != nil })
        let pieces = try ChatTemplate.recognised(in: entry.template)
            .render(golden.conversations[0], addGenerationPrompt: true)
        #expect(pieces.map(\.text).joined() == entry.undated)
    }

    @Test func anAnswerWithoutThoughtIsOpenedAsQwenDoes() throws {
        let entry = try #require(golden.templates.first { $0.thoughtless != nil })
        let wanted = try #require(entry.thoughtless)
        for (messages, text) in zip(golden.conversations, wanted) {
            let pieces = try ChatTemplate(named: "qwen3").render(messages, addGenerationPrompt: true, thinks: false)
            #expect(bytes(pieces.map(\.text).joined()) == bytes(text))
        }
    }

    @Test func aSystemMessageOfItsOwnIsReadFromChatML() throws {
        let smol = try #require(golden.templates.first { $0.name == "smollm2" }).template
        let other = smol.replacing("named SmolLM, trained by Hugging Face", with: "of the house")
        #expect(other != smol)
        let template = try ChatTemplate.recognised(in: other)
        let pieces = try template.render([ChatMessage(.user, "Hi")], addGenerationPrompt: false)
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
            _ = try ChatTemplate(named: "gemma").render(turns, addGenerationPrompt: true)
            Issue.record("rendered two questions in a row")
        } catch {
            #expect(error.description.contains("messages[1]") && error.description.contains("role user"))
        }
        do throws(ChatTemplateError) {
            _ = try ChatTemplate(named: "gemma").render([ChatMessage(.system, "a")], addGenerationPrompt: true)
            Issue.record("rendered a system message")
        } catch {
            #expect(error.description.contains("messages[0]"))
        }
    }

    @Test func lengthsAreBounded() throws {
        let template = try ChatTemplate(named: "chatml")
        #expect(throws: ChatTemplateError.empty) { try template.render([], addGenerationPrompt: true) }
        let many = [ChatMessage](repeating: ChatMessage(.user, ""), count: 10_001)
        #expect(throws: ChatTemplateError.self) { try template.render(many, addGenerationPrompt: true) }
        let long = ChatMessage(.user, String(repeating: "x", count: 16 << 20 + 1))
        #expect(throws: ChatTemplateError.self) { try template.render([long], addGenerationPrompt: true) }
        for (year, month, day) in [(0, 1, 1), (10_000, 1, 1), (2024, 0, 1), (2024, 13, 1), (2024, 1, 0), (2024, 1, 32)]
        {
            #expect(throws: ChatTemplateError.self) { try ChatDate(year: year, month: month, day: day) }
        }
        #expect(try ChatDate(year: 2024, month: 12, day: 9).text == "09 Dec 2024")
    }

    private func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }
}
