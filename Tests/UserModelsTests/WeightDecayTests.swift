import ModelFiles
import NeuralNetwork
import TestSupport
import Testing
import UserModels

/// Every layer says which of its weights decay; together that is what models have been trained with from the beginning.
@Suite struct WeightDecayTests {
    private static let tables = [
        "items.weight", "unknown_items.weight", "categories.weight", "ratings.weight", "time_gaps.weight",
        "positions.weight", "mask.weight", "model.embed_tokens.weight", "perceiver.latents", "perceiver.no_history",
        "item_tower.items.weight", "item_tower.categories.weight",
    ]

    private func names(_ parameters: [Parameter], _ isIncluded: (Parameter) -> Bool) -> [String] {
        parameters.filter(isIncluded).map(\.name)
    }

    @Test(arguments: UserEncoderTests.Choice.all, EncoderConfiguration.Fusion.allCases)
    func blocksDecayWhereAnEncoderIsTrainedAlone(
        choice: UserEncoderTests.Choice,
        fusion: EncoderConfiguration.Fusion
    ) throws {
        let encoder = try choice.encoder {
            $0.fusion = fusion
            // A dual encoder has no further heads.
            if $0.kind != .dual { ($0.categoryLossWeight, $0.ratingLossWeight) = (0.1, 0.1) }
        }
        let products = names(encoder.parameters) {
            $0.shape.count == 2 && $0.name.hasSuffix(".weight")
                && ($0.name.contains("blocks.") || $0.name.contains("feed_forward"))
        }
        #expect(!products.isEmpty && names(encoder.parameters) { $0.decay == .always } == products)
        let others = names(encoder.parameters) { $0.shape.count == 2 && !Self.tables.contains($0.name) }
        #expect(names(encoder.parameters) { $0.decay != .never } == others)
    }

    @Test func tablesDoNotDecayWhereBothAreTrained() throws {
        let model = try TinyWorld.model()
        let products = names(model.parameters) { $0.shape.count == 2 && !Self.tables.contains($0.name) }
        #expect(names(model.parameters) { $0.decay != .never } == products)
        let groups = model.prepare(for: .full)
        #expect(groups.filter(\.decays).flatMap { $0.parameters.map(\.name) } == products)
    }

    @Test(arguments: [false, true])
    func projectionsDecayWhereALanguageModelIsTrainedAlone(tiesEmbeddings: Bool) throws {
        var shape = LanguageModelConfiguration(vocabularySize: 300)
        (shape.width, shape.layers, shape.headWidth, shape.feedForwardWidth) = (32, 2, 8, 64)
        shape.tiesEmbeddings = tiesEmbeddings
        var random = SeededRandom(seed: 1)
        let model = try LanguageModel(configuration: shape, using: &random)
        let products = names(model.parameters) { $0.shape.count == 2 && $0.name.contains("proj") }
        #expect(!products.isEmpty && names(model.parameters) { $0.decay == .always } == products)
    }
}
