import Catalogues
import Datasets
import Foundation
import ModelFiles
import NeuralNetwork
import ServiceRuntime
import Tokenization
import UserModels

/// `trainer train language-model`: trains a tokenizer and a small language model on the catalogue.
enum TrainLanguageModelCommand {
    private static let training = TrainingCommand(minutes: 2, batchCount: 128, learningRate: 2e-3)
    private static let vocabulary = TrainerKeys.vocabulary
    private static let width = ConfigurationKey<Int>(
        "width",
        default: 128,
        in: 8...8_192,
        help: "Width of a token's vector"
    )
    private static let layers = ConfigurationKey<Int>(
        "layers",
        default: 4,
        in: 1...128,
        help: "Blocks of the language model"
    )

    static var command: Command {
        training.command(
            "train language-model",
            summary: "Train a tokenizer and a small language model on the catalogue's titles and categories",
            work: "language model training",
            keys: [vocabulary, width, layers],
            metric: { _ in "validation_log_likelihood" },
            train: { try train($0, $1, until: $2) }
        ) { values in
            try Settings(
                options: values.options,
                batchCount: values.batchCount,
                vocabularySize: values.reader.value(of: vocabulary),
                width: values.reader.value(of: width),
                layers: values.reader.value(of: layers)
            )
        }
    }

    /// The settings of a language model training.
    struct Settings: Sendable {
        var options: TrainingOptions
        var batchCount = 128
        var vocabularySize = 3_000
        var width = 128
        var layers = 4
    }

    /// Trains a tokenizer and a language model and saves them in the run's folder.
    static func train(
        _ dataset: PreparedDataset,
        _ settings: Settings,
        until shutdown: Shutdown
    ) throws -> TrainingOutcome {
        let tokenizer = try BPETrainer.train(
            texts(dataset.catalogue),
            vocabularySize: settings.vocabularySize,
            specialTokens: PromptFormat.specialTokens
        )
        var configuration = LanguageModelConfiguration(vocabularySize: tokenizer.vocabularySize)
        configuration.width = settings.width
        configuration.layers = settings.layers
        configuration.headWidth = settings.width / configuration.heads
        configuration.feedForwardWidth = 3 * settings.width
        let run = try RunFolder(
            settings.options,
            kind: "language-model",
            configuration: configuration,
            dataset: dataset
        )
        try tokenizer.save(to: run.tokenizerPath)
        var random = SeededRandom(seed: settings.options.seed)
        let task = LanguageModelTask(
            model: try LanguageModel(configuration: configuration, using: &random),
            format: try PromptFormat(tokenizer: tokenizer),
            catalogue: dataset.catalogue,
            batchCount: settings.batchCount,
            seed: settings.options.seed,
            weightDecay: settings.options.weightDecay
        )
        let loop = try TrainingLoop(task: task, options: settings.options, run: run, name: "language model")
        return try loop.train(until: shutdown)
    }

    /// The tokenizer's training texts: titles, categories, and the questions, often enough that they become few tokens.
    private static func texts(_ catalogue: Catalogue) -> [String] {
        let phrasings = UserTask.allCases.flatMap { $0.trainingPhrasings + $0.heldOutPhrasings }
            .map { $0.replacing("{title}", with: "") }
        let facts = catalogue.items.flatMap { [$0.title, UserTask.categoriesAnswer($0.categories)] }
        return facts + (0..<max(catalogue.count / 8, 50)).flatMap { _ in phrasings }
    }
}
