import Datasets
import LanguageEngine
import ModelFiles
import NeuralNetwork
import ServiceRuntime
import UserModels

/// `trainer bundle`: joins a trained encoder and a pretrained language model by an untrained adapter.
///
/// The gates of its cross-attention are closed, so the language model answers as it does alone; training the adapter
/// opens them.
enum BundleCommand {
    private static let encoder = ConfigurationKey<String>("encoder", help: "The folder of the encoder's training")
    private static let languageModel = ConfigurationKey<String>(
        "language-model",
        help: "A GGUF file, or a folder in Hugging Face's format"
    )
    private static let copy = ConfigurationKey<Bool>(
        "copy",
        default: false,
        help: "Copy the language model's files; otherwise the bundle names their path, with their hashes"
    )
    private static let chatTemplate = ConfigurationKey<String>(
        "chat-template",
        help: "The name of the chat template, in place of the one in the language model's files"
    )
    static var command: Command {
        Command(
            "bundle",
            summary: "Join a trained encoder and a pretrained language model, by an adapter that is not trained yet",
            arguments: [
                CommandArgument("prepared", help: "The prepared data set that the encoder was trained on"),
                CommandArgument("bundle", help: "The folder to write"),
            ],
            keys: [encoder, languageModel, copy, chatTemplate, TrainerKeys.seed, TrainerKeys.json] + AdapterKeys.all,
            run: { context in
                let reader = context.configuration
                let (prepared, folder) = (try context.required("prepared"), try context.required("bundle"))
                let settings = try Settings(
                    encoder: reader.value(of: encoder),
                    languageModel: reader.value(of: languageModel),
                    isCopied: reader.value(of: copy),
                    chatTemplate: reader.optionalValue(of: chatTemplate),
                    adapter: AdapterKeys.settings(reader),
                    seed: reader.value(of: TrainerKeys.seed)
                )
                let json = try reader.value(of: TrainerKeys.json)
                try await context.compute("bundle") { _ in
                    let bundle = try write(PreparedDataset(contentsOf: prepared), settings, to: folder)
                    var report = Report()
                    report.add("bundle", folder)
                    report.add("version", bundle.version)
                    report.add("language_model", bundle.languageModel.path)
                    report.add("chat", bundle.format.isChat)
                    report.add(bundle.answers)
                    try report.print(json: json)
                }
            }
        )
    }

    /// What is joined, and how.
    struct Settings: Sendable {
        /// The folder of the encoder's training run.
        var encoder: String
        /// The path of the language model.
        var languageModel: String
        var isCopied = false
        var chatTemplate: String?
        var adapter = AdapterKeys.Settings()
        var seed: UInt64 = 1
    }

    /// Writes a bundle and reads it back.
    static func write(_ dataset: PreparedDataset, _ settings: Settings, to folder: String) throws -> ModelBundle {
        let encoder = try RunFolder.autoregressiveEncoder(settings.encoder, dataset: dataset)
        let source = try LanguageModelSource.open(settings.languageModel)
        let configuration = UserAdapter.Configuration(
            settings.adapter,
            encoder: encoder.configuration,
            languageModel: source.configuration,
            isPublished: true,
            isTuned: false
        )
        var random = SeededRandom(seed: settings.seed)
        let adapter: UserAdapter
        do throws(ModelConfigurationError) {
            adapter = try UserAdapter(configuration: configuration, using: &random)
        } catch {
            throw AdapterKeys.failure(error)
        }
        _ = try ModelBundle.write(
            encoder: encoder,
            adapter: adapter,
            languageModel: settings.isCopied ? .copied(from: settings.languageModel) : .named(settings.languageModel),
            catalogue: dataset.catalogue,
            chatTemplate: settings.chatTemplate,
            to: folder
        )
        return try ModelBundle.load(folder)
    }
}
