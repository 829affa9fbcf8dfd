import ModelFiles
import Testing

@testable import UserModels

/// Costs of texts and timelines so long that their operations exceed an integer.
@Suite struct CountsOfHugeTextsTests {
    private static func model(_ kind: UserAdapter.Kind = .crossAttention) throws -> UserLanguageModel.Configuration {
        var shape = try TinyWorld.model(adapter: { $0.kind = kind }).configuration
        (shape.languageModel.width, shape.languageModel.layers) = (576, 30)
        (shape.languageModel.heads, shape.languageModel.keyValueHeads, shape.languageModel.headWidth) = (9, 3, 64)
        return shape
    }

    @Test(arguments: UserAdapter.Kind.allCases)
    func aCountThatExceedsAnIntegerIsTheGreatest(kind: UserAdapter.Kind) throws {
        let shape = try Self.model(kind)
        // As many tokens as 65,536 events have whose titles are as long as a title may be.
        let tokens = 65_536 * 4_096
        let text = AnswerCost(tokens: tokens, model: shape.languageModel)
        #expect(text.languageModel == .max && text.total == .max)
        let asked = AnswerCost(tokens: .max / 4, known: 3, events: .max, model: shape)
        #expect(asked.total == .max && asked.withoutEncoding == .max && asked.encoding < .max)
        // The work of the last few positions, after as many that are known.
        let last = AnswerCost(tokens: tokens, known: tokens - 10, model: shape.languageModel)
        #expect(last.total > 0 && last.total < .max)
    }

    @Test func whatAnIntegerHoldsIsExact() {
        #expect(CappedCount.product(3, 5, 7) == 105 && CappedCount.product() == 1)
        #expect(CappedCount.product(.max, .max, 0) == 0 && CappedCount.product(.max, 2) == .max)
        #expect(CappedCount.sum(1, 2, 3) == 6 && CappedCount.sum(.max, 1, .max) == .max)
    }
}
