import HTTPServer
import Messages
import Testing

@testable import EventIngestor

/// Replies byte for byte: clients read them.
@Suite struct EventOutcomeTests {
    private func text(_ outcome: EventOutcome) -> String {
        guard case .bytes(let bytes) = outcome.response.body else { return "" }
        return "\(outcome.response.status) \(String(decoding: bytes, as: UTF8.self))"
    }

    @Test func allWereTaken() {
        var outcome = EventOutcome(isStrict: false)
        outcome.acceptedCount = 2
        #expect(text(outcome) == "202 {\"accepted\":2,\"rejected\":0}\n")
    }

    @Test func oneWasRefused() {
        var outcome = EventOutcome(isStrict: false)
        outcome.acceptedCount = 1
        outcome.reject(MessageError(field: "item", reason: "is \"no\""), at: .line(3), isTooLarge: false)
        let error = MessageError(field: "item", reason: "is \"no\"").description.replacing("\"", with: "\\\"")
        let refusal = "{\"line\":3,\"field\":\"item\",\"message\":\"\(error)\"}"
        let counts = "\"accepted\":1,\"rejected\":1"
        #expect(text(outcome) == "400 {\(counts),\"error\":\(refusal),\"errors\":[\(refusal)]}\n")
    }

    @Test func readingStopped() {
        var outcome = EventOutcome(isStrict: false)
        outcome.reject(MessageError(field: nil, reason: "is large"), at: .index(0), isTooLarge: true)
        outcome.reject(MessageError(field: nil, reason: "is large"), at: .index(1), isTooLarge: true)
        outcome.stop(after: .index(1))
        let reason = MessageError(field: nil, reason: "is large").description
        let summary =
            "2 of 2 events were refused; that is too many, so nothing after the event at index 1 was read or taken"
        #expect(
            text(outcome)
                == "413 {\"accepted\":0,\"rejected\":2,\"stopped_after\":{\"index\":1},"
                + "\"error\":{\"message\":\"\(summary)\"},\"errors\":[{\"index\":0,\"message\":\"\(reason)\"},"
                + "{\"index\":1,\"message\":\"\(reason)\"}]}\n"
        )
    }
}
