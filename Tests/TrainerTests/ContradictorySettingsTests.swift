import ServiceRuntime
import Testing
import UserModels

@testable import Trainer

/// Settings of a User-LLM's training that are out of range, or that contradict one another.
@Suite struct ContradictorySettingsTests {
    private static let keys: [any AnyConfigurationKey] =
        AdapterKeys.all + LowRankKeys.all + [TextPromptKeys.context, TextPromptKeys.events]

    private func reader(_ flags: [String: String]) throws -> ConfigurationReader {
        try ConfigurationReader(keys: Self.keys, flags: flags)
    }

    private func message(_ body: () throws -> Void) -> String {
        do {
            try body()
            return "no error"
        } catch {
            return "\(error)"
        }
    }

    @Test(arguments: [
        ("latents", "0", "from 1 to 1024"), ("latents", "1025", "from 1 to 1024"),
        ("latents", "99999999999999999999", "expected"), ("perceiver-layers", "0", "from 1 to 100"),
        ("from-block", "-1", "from 0 to 999"), ("from-block", "1000", "from 0 to 999"),
        ("every", "0", "from 1 to 1000"),
        ("heads", "0", "from 1 to 1024"), ("inner-width", "65537", "from 1 to 65536"),
        ("gate", "1", "from 0.0 to 0.99"),
        ("gate", "-0.1", "from 0.0 to 0.99"), ("gate", "nan", "expected"), ("gate", "1e400", "expected"),
        ("integration", "both", "soft-prompt"), ("context-from", "nowhere", "last-prompt-token"),
        ("rank", "0", "from 1 to 1024"), ("alpha", "0", "expected"), ("alpha", "inf", "expected"),
        ("lora-layers", "", "a text that is not empty"), ("lora-layers", "q_proj,", "some of q_proj"),
        ("lora-layers", "q_proj,lm_head", "some of q_proj"), ("lora-layers", "q_proj,q_proj", "some of q_proj"),
        ("context", "15", "from 16 to 1000000"), ("context", "1000001", "from 16 to 1000000"),
        ("events", "0", "from 1 to 1000000"),
    ])
    func aValueOutOfRangeIsNamed(_ key: String, _ value: String, _ expected: String) {
        let found = message { _ = try reader([key: value]) }
        #expect(found.hasPrefix("\(key): \"\(value)\" (from --\(key)) is not allowed: expected "), "\(found)")
        #expect(found.contains(expected), "\(found)")
    }

    @Test(arguments: ["from-block": "3", "every": "2", "heads": "2", "inner-width": "64", "gate": "0.5"])
    func aSoftPromptHasNoCrossAttention(key: String, value: String) {
        let found = message { _ = try AdapterKeys.settings(reader(["integration": "soft-prompt", key: value])) }
        let kind = "--integration soft-prompt"
        #expect(found == "--\(key) \(value) is for cross-attention, and there is \(kind): leave one out")
        #expect(message { _ = try AdapterKeys.settings(reader([key: value])) } == "no error")
    }

    @Test func aSoftPromptActsFromTheFirstTokenOn() throws {
        let late = ["integration": "soft-prompt", "context-from": "last-prompt-token"]
        let found = message { _ = try AdapterKeys.settings(reader(late)) }
        let expected = "--context-from is last-prompt-token, expected first-token with --integration soft-prompt"
        #expect(found == expected)
        let settings = try AdapterKeys.settings(
            reader(["integration": "soft-prompt", "context-from": "first-token", "latents": "8"])
        )
        #expect(settings.kind == .softPrompt && settings.reach == .firstToken && settings.latents == 8)
        #expect(settings.first == nil && settings.innerWidth == nil && settings.gateOpening == nil)
    }

    @Test(arguments: ["rank": "4", "alpha": "8.0", "lora-layers": "q_proj"])
    func updatesAreForLoRAAlone(key: String, value: String) throws {
        let reader = try reader([key: value])
        let full = message { try LowRankKeys.refuse(reader, strategy: "full") }
        #expect(full == "--\(key) \(value) is for --strategy lora, and --strategy is full: leave it out, or take lora")
        let unset = message { try LowRankKeys.refuse(reader, strategy: nil) }
        #expect(unset.contains("--\(key) \(value) is for --strategy lora, and --strategy is not set"))
        let none = try self.reader([:])
        #expect(message { try LowRankKeys.refuse(none, strategy: "full") } == "no error")
    }
}
