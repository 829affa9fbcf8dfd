import Catalogues
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
        help: "What is trained: full (everything), lora (of the language model low-rank updates), enc (all but the "
            + "language model), proj (what joins the two); by default proj for a published language model, else full",
        expectation: UserLanguageModel.Strategy.allCases.map(\.rawValue).joined(separator: ", ")
    ) { UserLanguageModel.Strategy(rawValue: $0) != nil }
    private static let encoder = ConfigurationKey<String>("encoder", help: "The folder of the encoder's training")
    private static let languageModel = ConfigurationKey<String>(
        "language-model",
        help: "A published language model (a GGUF file or a folder of Hugging Face's), or the folder of a training"
    )
    private static let chatTemplate = ConfigurationKey<String>(
        "chat-template",
        help: "The name of the chat template, in place of the one in a published language model's files"
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
        in: 0...100,
        help: "Weight of the encoder's own loss, so that it goes on to know what it teaches; by default 0.3, and 0 "
            + "with --strategy proj, which does not train it"
    )

    static var command: Command {
        training.command(
            "train user-llm",
            summary: "Join an encoder and a language model and train them to answer from a user's context",
            work: "User-LLM training",
            keys: [
                strategy, encoder, languageModel, chatTemplate, questions, guidance, nextEvent, validationUsers,
            ] + AnswerTasks.trainingKeys + AdapterKeys.all + LowRankKeys.all,
            metric: { $0.tasks.metricField },
            train: { try train($0, $1, until: $2) }
        ) { values in
            let reader = values.reader
            let chosen = try reader.optionalValue(of: strategy).flatMap { UserLanguageModel.Strategy(rawValue: $0) }
            if chosen != .lora { try LowRankKeys.refuse(reader, strategy: chosen?.rawValue) }
            return try Settings(
                options: values.options,
                encoder: reader.value(of: encoder),
                languageModel: reader.value(of: languageModel),
                chatTemplate: reader.optionalValue(of: chatTemplate),
                strategy: chosen,
                batchCount: values.batchCount,
                tasks: AnswerTasks(training: reader),
                adapter: AdapterKeys.settings(reader),
                lowRank: LowRankKeys.configuration(reader),
                questionsPerWindow: reader.value(of: questions),
                encoderGuidance: Float(reader.value(of: guidance)),
                nextEventWeight: reader.optionalValue(of: nextEvent).map { Float($0) },
                validationUsers: reader.value(of: validationUsers)
            )
        }
    }

    /// The settings of a User-LLM training.
    struct Settings: Sendable {
        var options: TrainingOptions
        /// The folder of the encoder's training run.
        var encoder: String
        /// The files of a published language model, or the folder of a language model's training run.
        var languageModel: String
        /// The name of the published language model's chat template; nil for the one in its files.
        var chatTemplate: String?
        /// What is trained; nil for the language model's default.
        var strategy: UserLanguageModel.Strategy?
        var batchCount = 64
        /// What is asked.
        var tasks = AnswerTasks()
        var adapter = AdapterKeys.Settings()
        /// The low-rank updates of the strategy `lora`.
        var lowRank = LowRankAdapter.Configuration()
        var questionsPerWindow = 6
        var encoderGuidance: Float = 0.5
        /// Nil for the default, which is 0 where the encoder is not trained.
        var nextEventWeight: Float?
        /// The number of users for validation; 0 is all.
        var validationUsers = 1_024
    }

    /// Trains a User-LLM and saves it, with the tokenizer, in the run's folder.
    static func train(
        _ dataset: PreparedDataset,
        _ settings: Settings,
        until shutdown: Shutdown
    ) throws -> TrainingOutcome {
        try settings.tasks.check(dataset)
        let encoder = try RunFolder.autoregressiveEncoder(settings.encoder, dataset: dataset)
        let start = try StartingLanguageModel(
            settings.languageModel,
            chatTemplate: settings.chatTemplate,
            dataset: dataset
        )
        let isPublished = start.published != nil
        let strategy = settings.strategy ?? (isPublished ? .proj : .full)
        guard isPublished || strategy != .lora else {
            throw ProcessFailure(
                "strategy lora is for published language models, and \(settings.languageModel) is a training run: "
                    + "take full",
                exitCode: .badInput
            )
        }
        if let weight = settings.nextEventWeight, strategy == .proj, weight != 0 {
            throw ProcessFailure(
                "--next-event-weight is \(weight), expected 0 or none: the strategy proj does not train the encoder",
                exitCode: .badInput
            )
        }
        try start.checkResumes(settings.options)
        var adapterConfiguration = UserAdapter.Configuration(
            settings.adapter,
            encoder: encoder.configuration,
            languageModel: start.model.configuration,
            isPublished: isPublished,
            isTuned: strategy == .full
        )
        // Titles and categories are from the catalogue; reviews are text, and a model of our own learns its facts as text.
        adapterConfiguration.actsOnText = !isPublished || settings.tasks.contains(.review)
        let configuration = UserLLMConfiguration(
            encoder: encoder.configuration,
            adapter: adapterConfiguration,
            languageModel: start.model.configuration,
            strategy: strategy,
            lowRank: strategy == .lora ? settings.lowRank : nil,
            published: start.published
        )
        var random = SeededRandom(seed: settings.options.seed)
        let model: UserLanguageModel
        do throws(ModelConfigurationError) {
            let adapter = try UserAdapter(configuration: adapterConfiguration, using: &random)
            var languageModel = start.model
            if let lowRank = configuration.lowRank {
                let base = languageModel.configuration
                let updates = try LowRankAdapter(configuration: lowRank, base: base, using: &random)
                languageModel = try languageModel.adding(updates)
            }
            model = try UserLanguageModel(encoder: encoder, adapter: adapter, languageModel: languageModel)
        } catch {
            throw AdapterKeys.failure(error)
        }
        let histories = Histories(
            dataset,
            features: encoder.configuration.features,
            validationUsers: settings.validationUsers
        )
        try histories.checkTrainable()
        let reviews =
            settings.tasks.contains(.review)
            ? try Reviews(histories, format: start.format, tokens: settings.tasks.reviewTokens) : nil
        var mixture = UserLanguageModelTask.Mixture()
        mixture.questionsPerWindow = settings.questionsPerWindow
        mixture.tasks = settings.tasks
        // A language model that is not trained cannot learn facts.
        if strategy != .full { mixture.stepsPerFactStep = nil }
        var weights = UserLanguageModel.LossWeights()
        weights.encoderGuidance = settings.encoderGuidance
        weights.nextEvent = settings.nextEventWeight ?? (strategy == .proj ? 0 : 0.3)
        let answers = KnownAnswers(
            catalogue: dataset.catalogue,
            categoryNames: histories.features.categoryNames,
            format: start.format
        )
        try answers.checkTrainable(dataset.catalogue)
        let task = UserLanguageModelTask(
            model: model,
            histories: histories,
            answers: answers,
            format: start.format,
            reviews: reviews,
            mixture: mixture,
            weights: weights,
            strategy: strategy,
            batchCount: settings.batchCount,
            seed: settings.options.seed,
            weightDecay: settings.options.weightDecay,
            parameters: configuration.saved(model)
        )
        try requireRoom(start, answers: answers, reviews, adapterConfiguration)
        if mixture.stepsPerFactStep != nil, task.factItems.count < dataset.catalogue.count {
            let count = dataset.catalogue.count - task.factItems.count
            Notice.say("train user-llm: the categories of \(count) items are too long a text, and are not asked about")
        }
        let run = try RunFolder(settings.options, kind: "user-llm", configuration: configuration, dataset: dataset)
        if !isPublished { try start.tokenizer.save(to: run.tokenizerPath) }
        let loop = try TrainingLoop(task: task, options: settings.options, run: run, name: "user-llm")
        return try loop.train(until: shutdown)
    }

    /// Refuses a language model whose context is too short for a question and the longest answer.
    private static func requireRoom(
        _ start: StartingLanguageModel,
        answers: KnownAnswers,
        _ reviews: Reviews?,
        _ adapter: UserAdapter.Configuration
    ) throws {
        let phrasings = UserTask.allCases.filter { $0 != .titleCategories }.flatMap(\.trainingPhrasings)
        let longest = phrasings.map { start.format.prompt($0).count }.max() ?? 0
        let room = start.model.configuration.maximumLength
        func require(question: Int, answer: Int) throws {
            let needed = question + answer + adapter.contextPositions
            guard needed > room else { return }
            throw ProcessFailure(
                "max_position_embeddings of the language model is \(room), expected at least \(needed): a question takes "
                    + "\(question) tokens, the longest answer \(answer) and the context \(adapter.contextPositions)",
                exitCode: .badInput
            )
        }
        try require(question: longest, answer: answers.longest)
        if let reviews { try require(question: reviews.longestPrompt(), answer: reviews.tokens) }
    }
}
