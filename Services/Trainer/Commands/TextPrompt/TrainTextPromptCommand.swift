import Datasets
import Foundation
import ModelFiles
import NeuralNetwork
import ServiceRuntime
import Tokenization
import UserModels

/// `trainer train text-prompt`: trains a language model to answer from timelines as text, the baseline of a User-LLM.
enum TrainTextPromptCommand {
    private static let training = TrainingCommand(minutes: 20, batchCount: 4, learningRate: 5e-4)
    private static let strategy = ConfigurationKey<TextPromptStrategy>(
        "strategy",
        default: .lora,
        help: "What is trained: lora (low-rank updates) or full (every weight, at a tenth of --learning-rate)"
    )
    private static let validationUsers = TrainerKeys.validationUsers(default: 128)

    static var command: Command {
        training.command(
            "train text-prompt",
            summary: "Train a language model to answer from timelines as text: the baseline of a User-LLM",
            work: "text prompt training",
            keys: [
                strategy, TextPromptKeys.languageModel, TextPromptKeys.chatTemplate, TextPromptKeys.context,
                TextPromptKeys.events, validationUsers,
            ] + AnswerTasks.trainingKeys + LowRankKeys.all,
            metric: { $0.tasks.metricField },
            train: { try train($0, $1, until: $2) }
        ) { values in
            let reader = values.reader
            let chosen = try reader.value(of: strategy)
            if chosen != .lora { try LowRankKeys.refuse(reader, strategy: chosen.rawValue) }
            return try Settings(
                options: values.options,
                languageModel: reader.value(of: TextPromptKeys.languageModel),
                chatTemplate: reader.optionalValue(of: TextPromptKeys.chatTemplate),
                strategy: chosen,
                lowRank: LowRankKeys.configuration(reader),
                context: reader.value(of: TextPromptKeys.context),
                events: reader.optionalValue(of: TextPromptKeys.events),
                tasks: AnswerTasks(training: reader),
                batchCount: values.batchCount,
                validationUsers: reader.value(of: validationUsers)
            )
        }
    }

    /// The settings of a text prompt's training.
    struct Settings: Sendable {
        var options: TrainingOptions
        /// The files of a published language model, or the folder of a language model's training run.
        var languageModel: String
        /// The name of the published language model's chat template; nil for the one in its files.
        var chatTemplate: String?
        var strategy = TextPromptStrategy.lora
        var lowRank = LowRankAdapter.Configuration()
        /// The most tokens of a text.
        var context = 1_024
        /// The most events of a text; nil for as many as fit.
        var events: Int?
        /// What is asked.
        var tasks = AnswerTasks()
        var batchCount = 4
        /// The number of users for validation; 0 is all.
        var validationUsers = 128
    }

    /// Trains a text prompt and saves it in the run's folder; what LoRA learnt also in PEFT's format, in `adapter`.
    static func train(
        _ dataset: PreparedDataset,
        _ settings: Settings,
        until shutdown: Shutdown
    ) throws -> TrainingOutcome {
        try settings.tasks.check(dataset)
        let start = try StartingLanguageModel(
            settings.languageModel,
            chatTemplate: settings.chatTemplate,
            dataset: dataset
        )
        try start.checkResumes(settings.options)
        let configuration = TextPromptConfiguration(
            languageModel: start.model.configuration,
            strategy: settings.strategy,
            lowRank: settings.strategy == .lora ? settings.lowRank : nil,
            context: settings.context,
            events: settings.events,
            published: start.published
        )
        let histories = Histories(
            dataset,
            features: EventFeatures.Configuration(),
            validationUsers: settings.validationUsers
        )
        try histories.checkTrainable()
        let prompt = try TextPromptModel(
            model: adapted(start.model, configuration.lowRank, seed: settings.options.seed),
            format: start.format,
            dataset: dataset,
            context: settings.context,
            events: settings.events
        )
        try prompt.answers.checkTrainable(dataset.catalogue)
        var reviews: Reviews?
        if settings.tasks.contains(.review) {
            try prompt.requireRoom(reviewTokens: settings.tasks.reviewTokens, dataset)
            reviews = try Reviews(histories, format: start.format, tokens: settings.tasks.reviewTokens)
        }
        let task = TextPromptTask(
            prompt: prompt,
            histories: histories,
            tasks: settings.tasks,
            reviews: reviews,
            strategy: settings.strategy,
            parameters: configuration.saved(prompt.model),
            batchCount: settings.batchCount,
            seed: settings.options.seed,
            weightDecay: settings.options.weightDecay
        )
        let run = try RunFolder(settings.options, kind: "text-prompt", configuration: configuration, dataset: dataset)
        if start.published == nil { try start.tokenizer.save(to: run.tokenizerPath) }
        let loop = try TrainingLoop(task: task, options: settings.options, run: run, name: "text-prompt")
        let outcome = try loop.train(until: shutdown)
        if let lowRank = prompt.model.lowRank, outcome.bestStep != nil {
            // The best weights, where the model in memory has the last.
            let folder = settings.options.folder
            try Checkpoint(folder: folder + "/best").load(into: task.parameters)
            try lowRank.save(to: folder + "/adapter", base: start.published?.path)
        }
        return outcome
    }

    private static func adapted(
        _ model: LanguageModel,
        _ lowRank: LowRankAdapter.Configuration?,
        seed: UInt64
    ) throws -> LanguageModel {
        guard let lowRank else { return model }
        var random = SeededRandom(seed: seed)
        return try model.adding(LowRankAdapter(configuration: lowRank, base: model.configuration, using: &random))
    }
}
