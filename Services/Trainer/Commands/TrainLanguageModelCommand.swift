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
    private static let minutes = TrainerKeys.minutes(default: 2)
    private static let batch = TrainerKeys.batch(default: 128)
    private static let learningRate = TrainerKeys.learningRate(default: 2e-3)
    private static let weightDecay = TrainerKeys.weightDecay(default: 0.01)
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
        Command(
            "train language-model",
            summary: "Train a tokenizer and a small language model on the catalogue's titles and categories",
            arguments: [
                CommandArgument("prepared", help: "A prepared data set"),
                CommandArgument("run", help: "The folder of this training"),
            ],
            keys: TrainerKeys.common + [minutes, batch, learningRate, weightDecay, vocabulary, width, layers],
            run: { context in
                let reader = context.configuration
                let prepared = try context.required("prepared")
                let settings = try Settings(
                    options: TrainingOptions(
                        reader,
                        folder: context.required("run"),
                        minutes: minutes,
                        learningRate: learningRate,
                        weightDecay: weightDecay
                    ),
                    batchCount: reader.value(of: batch),
                    vocabularySize: reader.value(of: vocabulary),
                    width: reader.value(of: width),
                    layers: reader.value(of: layers)
                )
                let json = try reader.value(of: TrainerKeys.json)
                try await context.compute("language model training") { shutdown in
                    let dataset = try PreparedDataset(contentsOf: prepared)
                    let outcome = try train(dataset, settings, until: shutdown)
                    try outcome.report(metric: "validation_log_likelihood", dataset: dataset).print(json: json)
                    try outcome.checkInterruption(folder: settings.options.folder)
                }
            }
        )
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
        return try TrainingLoop(
            task: task,
            options: settings.options,
            run: run,
            progress: ProgressReporter(name: "language model", settings.options)
        ).train(until: shutdown)
    }

    /// The tokenizer's training texts: titles, categories, and the questions, often enough that they become few tokens.
    private static func texts(_ catalogue: Catalogue) -> [String] {
        let phrasings = UserTask.allCases.flatMap { $0.trainingPhrasings + $0.heldOutPhrasings }
            .map { $0.replacing("{title}", with: "") }
        let facts = catalogue.items.flatMap { [$0.title, UserTask.categoriesAnswer($0.categories)] }
        return facts + (0..<max(catalogue.count / 8, 50)).flatMap { _ in phrasings }
    }
}
