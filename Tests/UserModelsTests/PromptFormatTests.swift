import Bytes
import Catalogues
import Foundation
import LanguageEngine
import Messages
import ModelFiles
import Testing
import Tokenization

@testable import UserModels

/// A template of `Fixtures/ChatTemplates/templates`, as its makers publish it.
func publishedTemplate(_ name: String) -> URL {
    URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .appending(path: "Fixtures/ChatTemplates/templates/\(name).jinja")
}

/// Prompts of templates that ask for more than the messages: the day, and whether to think.
@Suite struct PromptFormatTests {
    private static let llamaMarks = ["<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"]
    private static let qwenMarks = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<think>", "</think>"]

    private func engine(_ template: String, _ marks: [String]) throws -> AnsweringEngine {
        let tokenizer = try BPETrainer.train(
            TinyWorld.catalogue.items.map(\.title) + TinyWorld.catalogue.categories,
            vocabularySize: 300,
            specialTokens: marks
        )
        var text = LanguageModelText()
        text.chatTemplate = try String(contentsOf: publishedTemplate(template), encoding: .utf8)
        let format = try PromptFormat(tokenizer: tokenizer, text: text, template: nil)
        return try AnsweringEngine(
            model: TinyWorld.model {
                $0.vocabularySize = tokenizer.vocabularySize
                $0.maximumLength = 1_024
            },
            sources: AnswerSources(catalogue: TinyWorld.catalogue, features: TinyWorld.features, format: format),
            configuration: TinyWorld.exact
        )
    }

    private func prompt(_ engine: AnsweringEngine, _ request: AnswerRequest) throws -> String {
        engine.format.tokenizer.decode(try engine.state(for: request, deadline: nil).prompt)
    }

    private func question(_ form: Question.AnswerForm, askedAt: Int64) -> AnswerRequest {
        AnswerRequest(Question(id: "q", user: "u", text: "Next?", form: form, askedAt: askedAt, deadline: .max))
    }

    /// Llama 3.2's template asks the clock, and the question tells it when it was asked; Llama 3.1's has a day of its own.
    @Test(arguments: [("llama3_1", "26 Jul 2024"), ("llama3_2", "31 Dec 2025")])
    func theDayIsThatOfTheQuestion(template: String, day: String) throws {
        let engine = try engine(template, Self.llamaMarks)
        for form in Question.AnswerForm.allCases {
            // 2025-12-31T23:59:59Z.
            let text = try prompt(engine, question(form, askedAt: 1_767_225_599_000))
            #expect(text.contains("Today Date: \(day)\n\n"), "\(text)")
        }
    }

    @Test func withoutATimeItIsToday() throws {
        let engine = try engine("llama3_2", Self.llamaMarks)
        func today() -> String {
            Date().formatted(
                .verbatim(
                    "\(day: .twoDigits) \(month: .abbreviated) \(year: .padded(4))",
                    locale: Locale(identifier: "en_US_POSIX"),
                    timeZone: .gmt,
                    calendar: Calendar(identifier: .gregorian)
                )
            )
        }
        let before = today()
        let texts = [
            try prompt(engine, AnswerRequest(text: "Next?", form: .text)),
            engine.format.tokenizer.decode(engine.format.prompt("Next?")),
        ]
        let after = today()
        for text in texts {
            #expect(text.contains("Today Date: \(before)\n") || text.contains("Today Date: \(after)\n"), "\(text)")
        }
    }

    @Test func aTimeOfNoDayIsNamed() throws {
        let engine = try engine("llama3_2", Self.llamaMarks)
        for time in [Int64.min, .max] {
            #expect {
                _ = try prompt(engine, question(.text, askedAt: time))
            } throws: {
                "\($0)".contains("askedAt") && "\($0)".contains("a time of the years 1 to 9999")
            }
        }
    }

    /// Thoughts would take the tokens of an answer, and nobody reads them.
    @Test func aModelThatThinksIsToldNotTo() throws {
        let engine = try engine("qwen3", Self.qwenMarks)
        for form in Question.AnswerForm.allCases {
            let text = try prompt(engine, question(form, askedAt: 0))
            #expect(text.hasSuffix("<|im_start|>assistant\n<think>\n\n</think>\n\n"), "\(form): \(text)")
        }
    }
}
