import Bytes
import Datasets
import Foundation
import MessageLogs
import Messages
import ServiceRuntime
import TestSupport
import Testing
import Verification

@testable import LLMResponder
@testable import UserModels

/// What a responder does with a bundle that it cannot answer with, and with questions that no context holds.
@Suite struct WrongBundlesTests {
    private struct Silent: LogHandler {
        func log(_ entry: LogEntry) {}
    }

    /// What starting says about a bundle in which a number was changed and sealed again.
    private func starting(_ file: String, _ key: String, _ value: Int) throws -> String {
        let folder = try LocalSystem.makeFolder()
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let bundle = "\(folder)/bundle"
        try SmallBundle.write(to: bundle, catalogue: SyntheticWorld().catalogue)
        let url = URL(filePath: "\(bundle)/\(file)")
        var object = try #require(JSONSerialization.jsonObject(with: Data(contentsOf: url)) as? [String: Any])
        object[key] = value
        try JSONSerialization.data(withJSONObject: object).write(to: url)
        var parts = try ModelBundle.readManifest(bundle).parts
        parts[file] = SHA256.hexDigest(of: try Data(contentsOf: url))
        let manifest = try JSONEncoder().encode(BundleManifest(parts: parts))
        try manifest.write(to: URL(filePath: "\(bundle)/bundle.json"))
        let reader = try ConfigurationReader(keys: LLMResponderConfiguration.keys, flags: ["bundle": bundle])
        do {
            let configuration = try LLMResponderConfiguration(reader: reader)
            _ = try App.makeResponder(configuration, Logger(label: "test", handler: Silent()))
            return "no error"
        } catch {
            return "\(error)"
        }
    }

    @Test(arguments: [
        ("adapter/config.json", "languageModelLayers", 3, "adapter.languageModelLayers is 3, expected the language"),
        ("adapter/config.json", "languageModelWidth", 48, "adapter.languageModelWidth is 48, expected the language"),
        ("language-model/config.json", "num_hidden_layers", 1, "tensors that a model of its configuration"),
        ("language-model/config.json", "num_key_value_heads", 1, "k_proj.weight"),
        ("encoder/config.json", "itemCount", 7, "encoder.itemCount is 7, expected the catalogue's"),
        ("adapter/config.json", "crossAttentionEvery", 1, "no error"),
    ])
    func partsThatDoNotFitEndTheStart(_ file: String, _ key: String, _ value: Int, _ expected: String) throws {
        let message = try starting(file, key, value)
        #expect(message.contains(expected), "\(message)")
    }

    /// Others are answered all the same.
    @Test func aQuestionThatIsLongerThanTheContextFails() async throws {
        let fixture = try await RespondingFixture()
        try await fixture.write("u", count: 5)
        let now = WallClock.milliseconds
        for (id, form) in [("long-title", Question.AnswerForm.title), ("long-text", .text)] {
            let question = Question(
                id: QuestionID(id),
                user: "u",
                text: String(repeating: "xyz ", count: 2_000),
                form: form,
                itemCount: form == .title ? 3 : 0,
                maximumTokens: 8,
                minimumEventCount: 0,
                askedAt: now,
                deadline: now + 600_000
            )
            try await fixture.log.append([
                OutgoingRecord(topic: Topic.questions.rawValue, key: Array("u".utf8), value: try question.encoded())
            ])
        }
        try await fixture.ask("short", "u")
        try await fixture.whileRunning { _ in try await fixture.answered("long-title", "long-text", "short") }
        for id in ["long-title", "long-text"] {
            let answer = try #require(try await fixture.answer(id))
            #expect(answer.status == .failed)
            #expect(answer.reason.contains("the question has ") && answer.reason.contains(" fit: ask a shorter one"))
        }
        #expect(try await fixture.answer("short")?.status == .answered)
        await fixture.close()
    }
}
