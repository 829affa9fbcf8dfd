import Datasets
import Foundation
import ServiceRuntime
import UserModels

/// `trainer all`: from a data set to a bundle and its evaluation in one go.
enum AllCommand {
    private static let encoderMinutes = TrainerKeys.minutes("encoder-minutes", default: 15)
    private static let languageModelMinutes = TrainerKeys.minutes("language-model-minutes", default: 2)
    private static let userLLMMinutes = TrainerKeys.minutes("user-llm-minutes", default: 25)
    private static let vocabulary = TrainerKeys.vocabulary
    private static let evaluated = ConfigurationKey<Int>(
        "evaluated-users",
        in: 0...Int(Int32.max),
        help: "Users asked about at the end; all by default, 0 leaves the evaluation out"
    )

    static var command: Command {
        Command(
            "all",
            summary: "Prepare, train the encoder, the language model and the User-LLM, export and evaluate",
            arguments: [
                CommandArgument("data", help: "The folder of the data set"),
                CommandArgument("output", help: "The folder for everything that is made; bundle/ in it is the result"),
            ],
            keys: [
                TrainerKeys.seed, TrainerKeys.threads, TrainerKeys.json, TrainerKeys.resume,
                TrainerKeys.warmUp, TrainerKeys.validations, TrainerKeys.patience, TrainerKeys.steps,
                TrainerKeys.precision, encoderMinutes, languageModelMinutes, userLLMMinutes,
                vocabulary, evaluated,
            ] + PrepareCommand.keys,
            run: { context in
                let reader = context.configuration
                let (data, output) = (try context.required("data"), try context.required("output"))
                let stages = try Stages(reader, output: output)
                let preparation = try PrepareCommand.Settings(reader)
                let users = try reader.optionalValue(of: evaluated)
                let json = try reader.value(of: TrainerKeys.json)
                try await context.compute("training") { shutdown in
                    let dataset = try PrepareCommand.prepare(data, into: output + "/prepared", preparation)
                    PrepareCommand.say("reading: \(dataset.origin.counts)")
                    try stages.run(dataset, output: output, until: shutdown)
                    let bundle = try ExportCommand.export(dataset, run: stages.userLLM.folder, to: output + "/bundle")
                    guard users != 0 else { return }
                    try EvaluateUserLLMCommand.evaluate(
                        bundle,
                        dataset,
                        users: users,
                        threads: stages.userLLM.threads
                    ).print(json: json)
                }
            }
        )
    }

    /// The training stages and their settings.
    private struct Stages: Sendable {
        var encoder: TrainingOptions
        var languageModel: TrainingOptions
        var userLLM: TrainingOptions
        var vocabularySize: Int

        init(_ reader: ConfigurationReader, output: String) throws(ConfigurationError) {
            func options(
                _ name: String,
                _ minutes: ConfigurationKey<Double>,
                learningRate: Float
            ) throws(ConfigurationError) -> TrainingOptions {
                let steps = try reader.optionalValue(of: TrainerKeys.steps)
                let time = Duration.seconds(try reader.value(of: minutes) * 60)
                return TrainingOptions(
                    budget: steps.map { .steps($0) } ?? .time(time),
                    learningRate: learningRate,
                    weightDecay: 0.01,
                    warmUpSteps: try reader.value(of: TrainerKeys.warmUp),
                    validations: try reader.value(of: TrainerKeys.validations),
                    threads: try reader.value(of: TrainerKeys.threads),
                    seed: try reader.value(of: TrainerKeys.seed),
                    precision: try TrainerKeys.chosenPrecision(reader),
                    folder: "\(output)/\(name)",
                    resumes: try reader.value(of: TrainerKeys.resume),
                    patience: try reader.value(of: TrainerKeys.patience),
                    settings: TrainingOptions.settings(reader)
                )
            }
            encoder = try options("encoder", encoderMinutes, learningRate: 2e-3)
            languageModel = try options("language-model", languageModelMinutes, learningRate: 2e-3)
            userLLM = try options("user-llm", userLLMMinutes, learningRate: 1e-3)
            vocabularySize = try reader.value(of: vocabulary)
        }

        func run(_ dataset: PreparedDataset, output: String, until shutdown: Shutdown) throws {
            try TrainEncoderCommand.train(dataset, .init(options: encoder), until: shutdown)
                .checkInterruption(folder: encoder.folder)
            let language = TrainLanguageModelCommand.Settings(options: languageModel, vocabularySize: vocabularySize)
            try TrainLanguageModelCommand.train(dataset, language, until: shutdown)
                .checkInterruption(folder: languageModel.folder)
            try TrainUserLLMCommand.train(
                dataset,
                .init(options: userLLM, encoder: encoder.folder, languageModel: languageModel.folder),
                until: shutdown
            ).checkInterruption(folder: userLLM.folder)
        }
    }
}
