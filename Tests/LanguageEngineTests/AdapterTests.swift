@testable import LanguageEngine
import ModelFiles
import Testing

@Suite struct AdapterTests {
    @Test func anOpenAdapterComputesTheFormula() throws {
        for (first, every, heads, innerWidth) in [(0, 1, 2, 32), (1, 2, 4, 64), (2, 1, 1, 48)] {
            let model = TinyModel().withAdapter(first: first, every: every, heads: heads, innerWidth: innerWidth)
            let text = RunnerHarness.Text(tokens: model.tokens(30, seed: 3), context: model.rows(7, seed: 4))
            let found = try RunnerHarness(model).logits(text)
            let reference = ReferenceModel(model: model)
            let worst = difference(found, reference.logits(text.tokens, context: text.context))
            print("open adapter from block \(first): worst difference \(worst)")
            #expect(worst < 1e-4)
            #expect(difference(found, reference.logits(text.tokens)) > 0.1, "the context changes nothing")
        }
    }

    @Test func aClosedGateLeavesEveryBit() throws {
        let model = TinyModel()
        let closed = model.withAdapter(gate: 0)
        let text = RunnerHarness.Text(tokens: model.tokens(30, seed: 3))
        var withContext = text
        withContext.context = model.rows(7, seed: 4)
        let plain = bits(try RunnerHarness(model).logits(text))
        #expect(bits(try RunnerHarness(closed).logits(withContext)) == plain)
        // And so does an open one without a context.
        #expect(bits(try RunnerHarness(model.withAdapter()).logits(text)) == plain)
    }

    @Test func aContextActsFromItsStartOn() throws {
        let model = TinyModel().withAdapter()
        let tokens = model.tokens(40, seed: 3)
        let context = model.rows(7, seed: 4)
        let harness = try RunnerHarness(model)
        let text = RunnerHarness.Text(tokens: tokens, context: context, contextStart: 21)
        let found = try harness.logits(text)
        let expected = ReferenceModel(model: model).logits(tokens, context: context, contextStart: 21)
        #expect(difference(found, expected) < 1e-4)
        #expect(bits(try harness.logits(text, pieces: [10, 8, 9, 1, 12])) == bits(found))
        let plain = try harness.logits(.init(tokens: tokens))
        #expect(bits(Array(found[..<21])) == bits(Array(plain[..<21])))
        #expect(bits(Array(found[21...])) != bits(Array(plain[21...])))
    }

    @Test func aSoftPromptStandsBeforeTheText() throws {
        let model = TinyModel(.qwen2)
        let text = RunnerHarness.Text(tokens: model.tokens(25, seed: 3), softPrompt: model.rows(6, seed: 4))
        let harness = try RunnerHarness(model)
        let found = try harness.logits(text)
        let expected = ReferenceModel(model: model).logits(text.tokens, softPrompt: text.softPrompt ?? [])
        #expect(difference(found, expected) < 1e-4)
        #expect(bits(try harness.logits(text, pieces: [2, 3, 4, 22])) == bits(found))
    }

    @Test func theShapeIsChecked() {
        let shape = AdapterWeights.Configuration(width: 64, layers: 3, heads: 5, innerWidth: 32)
        #expect(throws: EngineError.self) { try AdapterWeights(configuration: shape) { _ in nil } }
        let missing = AdapterWeights.Configuration(width: 64, layers: 3, heads: 4)
        #expect(throws: LanguageModelWeightsError.self) { try AdapterWeights(configuration: missing) { _ in nil } }
    }
}
