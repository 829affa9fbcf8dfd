import Datasets
import ModelFiles
import NeuralNetwork
import ServiceRuntime
import Tokenization
import UserModels

/// `trainer train user-llm`: joins an encoder and a language model and trains them to answer.
enum TrainUserLLMCommand {
    private static let training = TrainingCommand(minutes: 20, batchCount: 64, learningRate: 1e-3)
    private static let strategy = ConfigurationKey<String>(
        "strategy",
        default: "full",
        help: "What is trained: full (everything), enc (all but the language model), proj (what joins the two)",
        expectation: UserLanguageModel.Strategy.allCases.map(\.rawValue).joined(separator: ", ")
    ) { UserLanguageModel.Strategy(rawValue: $0) != nil }
    private static let encoder = ConfigurationKey<String>("encoder", help: "The folder of the encoder's training")
    private static let languageModel = ConfigurationKey<String>(
        "language-model",
        help: "The folder of the language model's training"
    )
    private static let latents = ConfigurationKey<Int>("latents", default: 16, in: 1...1_024, help: "Rows of a context")
    private static let gate = ConfigurationKey<Double>(
        "gate",
        in: 0...0.99,
        help: "How far the gates are open at the start; by default 0.7 with strategy full and 0 otherwise"
    )
    private static let questions = ConfigurationKey<Int>(
        "questions",
        default: 6,
        in: 1...1_000,
        help: "Questions about one window of events"
    )
    private static let guidance = ConfigurationKey<Double>(
        "encoder-guidance",
        default: 0.5,
        in: 0...1,
        help: "Share of the encoder's own expectation in what is learnt about next titles"
    )
    private static let validationUsers = TrainerKeys.validationUsers(default: 1_024)
    private static let nextEvent = ConfigurationKey<Double>(
        "next-event-weight",
        default: 0.3,
        in: 0...100,
        help: "Weight of the encoder's own loss, so that it goes on to know what it teaches"
    )

    static var command: Command {
        training.command(
            "train user-llm",
            summary: "Join an encoder and a language model and train them to answer from a user's context",
            work: "User-LLM training",
            keys: [
                strategy, encoder, languageModel, latents, gate, questions, guidance, nextEvent, validationUsers,
            ],
            metric: "validation_title_log_likelihood",
            train: { try train($0, $1, until: $2) }
        ) { values in
            let reader = values.reader
            return try Settings(
                options: values.options,
                encoder: reader.value(of: encoder),
                languageModel: reader.value(of: languageModel),
                strategy: UserLanguageModel.Strategy(rawValue: reader.value(of: strategy)) ?? .full,
                batchCount: values.batchCount,
                latents: reader.value(of: latents),
                gateOpening: reader.optionalValue(of: gate).map { Float($0) },
                questionsPerWindow: reader.value(of: questions),
                encoderGuidance: Float(reader.value(of: guidance)),
                nextEventWeight: Float(reader.value(of: nextEvent)),
                validationUsers: reader.value(of: validationUsers)
            )
        }
    }

    /// The settings of a User-LLM training.
    struct Settings: Sendable {
        var options: TrainingOptions
        /// The folder of the encoder's training run.
        var encoder: String
        /// The folder of the language model's training run.
        var languageModel: String
        var strategy = UserLanguageModel.Strategy.full
        var batchCount = 64
        var latents = 16
        var gateOpening: Float?
        var questionsPerWindow = 6
        var encoderGuidance: Float = 0.5
        var nextEventWeight: Float = 0.3
        /// The number of users for validation; 0 is all.
        var validationUsers = 1_024
    }

    /// Trains a User-LLM and saves it, with the tokenizer, in the run's folder.
    static func train(
        _ dataset: PreparedDataset,
        _ settings: Settings,
        until shutdown: Shutdown
    ) throws -> TrainingOutcome {
        let encoder = try RunFolder.autoregressiveEncoder(settings.encoder, dataset: dataset)
        let (languageModel, tokenizer) = try RunFolder.languageModel(settings.languageModel, dataset: dataset)
        var configuration = UserAdapter.Configuration(
            encoder: encoder.configuration,
            languageModel: languageModel.configuration
        )
        configuration.perceiver.latents = settings.latents
        configuration.gateOpening = settings.gateOpening ?? (settings.strategy == .full ? 0.7 : 0)
        var random = SeededRandom(seed: settings.options.seed)
        let adapter = try UserAdapter(configuration: configuration, using: &random)
        let histories = Histories(
            dataset,
            features: encoder.configuration.features,
            validationUsers: settings.validationUsers
        )
        try histories.checkTrainable()
        let format = try PromptFormat(tokenizer: tokenizer)
        var mixture = UserLanguageModelTask.Mixture()
        mixture.questionsPerWindow = settings.questionsPerWindow
        var weights = UserLanguageModel.LossWeights()
        weights.encoderGuidance = settings.encoderGuidance
        weights.nextEvent = settings.nextEventWeight
        let task = UserLanguageModelTask(
            model: try UserLanguageModel(encoder: encoder, adapter: adapter, languageModel: languageModel),
            histories: histories,
            answers: KnownAnswers(
                catalogue: dataset.catalogue,
                categoryNames: histories.features.categoryNames,
                format: format
            ),
            format: format,
            mixture: mixture,
            weights: weights,
            strategy: settings.strategy,
            batchCount: settings.batchCount,
            seed: settings.options.seed,
            weightDecay: settings.options.weightDecay
        )
        let run = try RunFolder(
            settings.options,
            kind: "user-llm",
            configuration: UserLLMConfiguration(
                encoder: encoder.configuration,
                adapter: configuration,
                languageModel: languageModel.configuration
            ),
            dataset: dataset
        )
        try tokenizer.save(to: run.tokenizerPath)
        let loop = try TrainingLoop(task: task, options: settings.options, run: run, name: "user-llm")
        return try loop.train(until: shutdown)
    }
}

/// The configurations of a User-LLM's parts, as saved in its checkpoints.
struct UserLLMConfiguration: Codable, Sendable {
    var encoder: AutoregressiveEncoder.Configuration
    var adapter: UserAdapter.Configuration
    var languageModel: LanguageModelConfiguration
}
