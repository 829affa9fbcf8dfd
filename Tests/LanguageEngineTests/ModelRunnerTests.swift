import LanguageEngine
import ModelFiles
import RandomNumbers
import Testing

@Suite struct ModelRunnerTests {
    static let shapes: [TinyModel] = [
        TinyModel(.llama),
        TinyModel(.llama, isTied: false, keyValueHeads: 4, attentionBias: true, seed: 2),
        TinyModel(
            .llama,
            keyValueHeads: 1,
            scaling: .llama3(.init(factor: 8, lowFrequencyFactor: 1, highFrequencyFactor: 4, originalLength: 32)),
            seed: 3
        ),
        TinyModel(.qwen2, seed: 4),
        TinyModel(.qwen3, isTied: false, seed: 5),
    ]

    @Test(arguments: 0..<5)
    func logitsEqualTheReferences(_ index: Int) throws {
        let model = Self.shapes[index]
        let tokens = model.tokens(45, seed: 7)
        let found = try RunnerHarness(model).logits(.init(tokens: tokens))
        let worst = difference(found, ReferenceModel(model: model).logits(tokens))
        print("logits of shape \(index): worst difference \(worst)")
        #expect(worst < 1e-4)
    }

    @Test(arguments: [(WeightFormat.bfloat16, CacheFormat.bfloat16, 0.06), (.int8, .int8, 0.25)])
    func roundedFormatsAreNear(_ format: WeightFormat, _ cache: CacheFormat, share: Double) throws {
        let model = TinyModel()
        let tokens = model.tokens(45, seed: 7)
        let found = try RunnerHarness(model, format: format, cache: cache).logits(.init(tokens: tokens))
        let expected = ReferenceModel(model: model).logits(tokens)
        let largest = expected.joined().reduce(0) { max($0, abs($1)) }
        let worst = difference(found, expected) / largest
        print("logits in \(format), cache in \(cache): worst difference \(worst) of the largest, \(largest)")
        #expect(worst < share)
        #expect(worst > 1e-4, "the format does nothing")
    }

    @Test(arguments: WeightFormat.allCases, CacheFormat.allCases)
    func anyCutOfAPromptGivesTheSameBits(_ format: WeightFormat, _ cache: CacheFormat) throws {
        let model = TinyModel(.qwen2)
        let harness = try RunnerHarness(model, format: format, cache: cache)
        let tokens = model.tokens(70, seed: 7)
        let whole = bits(try harness.logits(.init(tokens: tokens)))
        var random = SeededRandom(seed: 5)
        for cut in 0..<6 {
            var pieces: [Int] = []
            while pieces.reduce(0, +) < tokens.count {
                let rest = tokens.count - pieces.reduce(0, +)
                pieces.append(cut == 0 ? 1 : min(rest, 1 + random.below(25)))
            }
            #expect(bits(try harness.logits(.init(tokens: tokens), pieces: pieces)) == whole, "\(pieces)")
        }
    }

    @Test(arguments: WeightFormat.allCases)
    func aTextGetsTheSameBitsAloneAndAmongOthers(_ format: WeightFormat) throws {
        let model = TinyModel().withAdapter(first: 1)
        let harness = try RunnerHarness(model, format: format, cache: .bfloat16)
        let texts = (0..<8).map { index in
            RunnerHarness.Text(
                tokens: model.tokens(5 + 4 * index, seed: UInt64(index)),
                context: index % 2 == 0 ? model.rows(3 + index, seed: UInt64(index)) : nil
            )
        }
        // The first passes have all texts, the later ones fewer and fewer.
        let pieces = texts.map { [$0.tokens.count - 4, 1, 1, 1, 1] }
        let together = try harness.logits(texts, pieces: pieces)
        for (index, text) in texts.enumerated() {
            #expect(bits(try harness.logits(text)) == bits(together[index]), "text \(index)")
        }
    }

    @Test func anyNumberOfThreadsGivesTheSameBits() throws {
        let model = TinyModel(.qwen3).withAdapter()
        let text = RunnerHarness.Text(tokens: model.tokens(40, seed: 1), context: model.rows(5, seed: 2))
        let one = bits(try RunnerHarness(model, threads: 1).logits(text, pieces: [33, 1, 6]))
        for threads in [2, 3, 5] {
            #expect(bits(try RunnerHarness(model, threads: threads).logits(text, pieces: [33, 1, 6])) == one)
        }
    }

    @Test func pagesOfAnySizeGiveNearlyTheSame() throws {
        let model = TinyModel()
        let tokens = model.tokens(100, seed: 7)
        let expected = ReferenceModel(model: model).logits(tokens)
        for positions in [16, 32, 64] {
            let found = try RunnerHarness(model, pagePositions: positions).logits(.init(tokens: tokens))
            #expect(difference(found, expected) < 1e-4)
        }
    }

    @Test func aMissingOrMisshapenTensorIsNamed() throws {
        var model = TinyModel()
        model.values["model.layers.1.mlp.up_proj.weight"] = nil
        #expect(throws: LanguageModelWeightsError.self) { try model.weights() }
        model = TinyModel()
        model.values["model.norm.weight"]?.removeLast()
        let error = #expect(throws: LanguageModelWeightsError.self) { try model.weights() }
        #expect(error?.tensor == "model.norm.weight")
    }
}
