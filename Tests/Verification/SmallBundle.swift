public import Catalogues
import Foundation
import Bytes
import Messages
import ModelFiles
import NeuralNetwork
import Tensors
import Tokenization
import UserModels

/// A bundle with a tiny model that was not trained: what it says is nonsense, but the same nonsense everywhere.
///
/// Or one with a published language model, on which the user's row does not act yet.
public enum SmallBundle {
    /// How large the model is.
    public enum Shape: Sendable {
        /// As small as it goes: timelines of 20 events, contexts of 4 rows.
        case tiny
        /// The shape that serves MovieLens-1M: width 64, 2 layers, timelines of 50 events, contexts of 16 rows.
        case serving
    }

    /// Writes a bundle.
    ///
    /// - Parameters:
    ///   - folder: where.
    ///   - catalogue: the items.
    ///   - shape: how large the model is.
    ///   - languageModel: a published language model's file or folder, which the bundle names; nil makes one.
    ///   - seed: of the weights.
    /// - Returns: the bundle's version.
    /// - Throws: what making or writing the model throws.
    @discardableResult
    public static func write(
        to folder: String,
        catalogue: Catalogue,
        shape: Shape = .tiny,
        languageModel: String? = nil,
        seed: UInt64 = 1
    ) throws -> String {
        let encoderShape = encoder(shape, of: catalogue)
        if let languageModel {
            return try write(to: folder, catalogue, encoderShape, around: languageModel, seed)
        }
        let isTiny = shape == .tiny
        let questions = UserTask.allCases.flatMap { $0.trainingPhrasings + $0.heldOutPhrasings }
        let tokenizer = try BPETrainer.train(
            catalogue.items.map(\.title) + catalogue.categories + questions,
            vocabularySize: 600,
            specialTokens: PromptFormat.specialTokens
        )
        var random = SeededRandom(seed: seed)
        var languageShape = LanguageModelConfiguration(vocabularySize: tokenizer.vocabularySize)
        languageShape.width = 32
        languageShape.layers = 2
        languageShape.headWidth = 8
        languageShape.feedForwardWidth = 64
        languageShape.maximumLength = 96
        var adapterShape = UserAdapter.Configuration(encoder: encoderShape, languageModel: languageShape)
        adapterShape.perceiver.latents = isTiny ? 4 : 16
        adapterShape.perceiver.feedForwardWidth = isTiny ? 64 : 128
        // Open, so that an answer does depend on its user.
        adapterShape.gateOpening = 0.75
        return try ModelBundle.write(
            model: UserLanguageModel(
                encoder: AutoregressiveEncoder(configuration: encoderShape, using: &random),
                adapter: UserAdapter(configuration: adapterShape, using: &random),
                languageModel: LanguageModel(configuration: languageShape, using: &random)
            ),
            tokenizer: tokenizer,
            catalogue: catalogue,
            to: folder
        )
    }

    private static func encoder(_ shape: Shape, of catalogue: Catalogue) -> AutoregressiveEncoder.Configuration {
        var encoder = AutoregressiveEncoder.Configuration(
            itemCount: catalogue.count,
            categoryCount: catalogue.categories.count
        )
        let isTiny = shape == .tiny
        encoder.width = isTiny ? 32 : 64
        encoder.feedForwardWidth = isTiny ? 64 : 256
        encoder.length = isTiny ? 20 : 50
        return encoder
    }

    /// Writes a bundle around a published model: cross-attention in its upper third, with gates that are closed as before
    /// a training.
    private static func write(
        to folder: String,
        _ catalogue: Catalogue,
        _ encoder: AutoregressiveEncoder.Configuration,
        around languageModel: String,
        _ seed: UInt64
    ) throws -> String {
        let source = try LanguageModelSource.open(languageModel)
        var adapter = UserAdapter.Configuration(encoder: encoder, languageModel: source.configuration)
        adapter.gateOpening = 0
        adapter.crossAttentionFrom = source.configuration.layers * 2 / 3
        (adapter.crossAttentionHeads, adapter.crossAttentionWidth) = (4, 256)
        var random = SeededRandom(seed: seed)
        return try ModelBundle.write(
            encoder: AutoregressiveEncoder(configuration: encoder, using: &random),
            adapter: UserAdapter(configuration: adapter, using: &random),
            languageModel: .named(languageModel),
            catalogue: catalogue,
            to: folder
        )
    }
}
