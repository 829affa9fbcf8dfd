import Datasets
import LanguageEngine
import ModelFiles
import NeuralNetwork
public import ServiceRuntime
public import UserModels

extension UserAdapter.Kind: ConfigurationValue {}
extension UserAdapter.Reach: ConfigurationValue {}

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
    private static let latents = ConfigurationKey<Int>("latents", default: 16, in: 1...1_024, help: "Rows of a context")
    private static let kind = ConfigurationKey<UserAdapter.Kind>(
        "join",
        default: .crossAttention,
        help: "How a context enters the language model"
    )
    private static let reach = ConfigurationKey<UserAdapter.Reach>(
        "context-from",
        default: .firstToken,
        help: "From which token on the context acts; last-prompt-token lets all users share what a question computes"
    )
    private static let first = ConfigurationKey<Int>(
        "from-block",
        default: 0,
        in: 0...999,
        help: "The first block with cross-attention before it"
    )
    private static let every = ConfigurationKey<Int>(
        "every",
        default: 1,
        in: 1...1_000,
        help: "Cross-attention stands before every n-th block from the first on"
    )
    private static let heads = ConfigurationKey<Int>(
        "heads",
        default: 4,
        in: 1...1_024,
        help: "Heads of cross-attention"
    )
    private static let width = ConfigurationKey<Int>(
        "inner-width",
        in: 1...65_536,
        help: "Width of queries, keys and values of cross-attention; by default the language model's"
    )

    static var command: Command {
        Command(
            "bundle",
            summary: "Join a trained encoder and a pretrained language model, by an adapter that is not trained yet",
            arguments: [
                CommandArgument("prepared", help: "The prepared data set that the encoder was trained on"),
                CommandArgument("bundle", help: "The folder to write"),
            ],
            keys: [
                encoder, languageModel, copy, chatTemplate, latents, kind, reach, first, every, heads, width,
                TrainerKeys.seed, TrainerKeys.json,
            ],
            run: { context in
                let reader = context.configuration
                let (prepared, folder) = (try context.required("prepared"), try context.required("bundle"))
                let settings = try Settings(
                    encoder: reader.value(of: encoder),
                    languageModel: reader.value(of: languageModel),
                    isCopied: reader.value(of: copy),
                    chatTemplate: reader.optionalValue(of: chatTemplate),
                    latents: reader.value(of: latents),
                    kind: reader.value(of: kind),
                    reach: reader.value(of: reach),
                    first: reader.value(of: first),
                    every: reader.value(of: every),
                    heads: reader.value(of: heads),
                    innerWidth: reader.optionalValue(of: width),
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
        var latents = 16
        var kind = UserAdapter.Kind.crossAttention
        var reach = UserAdapter.Reach.firstToken
        var first = 0
        var every = 1
        var heads = 4
        var innerWidth: Int?
        var seed: UInt64 = 1
    }

    /// Writes a bundle and reads it back.
    static func write(_ dataset: PreparedDataset, _ settings: Settings, to folder: String) throws -> ModelBundle {
        let encoder = try RunFolder.autoregressiveEncoder(settings.encoder, dataset: dataset)
        let source = try LanguageModelSource.open(settings.languageModel)
        var configuration = UserAdapter.Configuration(
            encoder: encoder.configuration,
            languageModel: source.configuration
        )
        configuration.perceiver.latents = settings.latents
        configuration.kind = settings.kind
        configuration.contextFrom = settings.reach
        configuration.crossAttentionFrom = settings.first
        configuration.crossAttentionEvery = settings.every
        configuration.crossAttentionHeads = settings.heads
        configuration.crossAttentionWidth = settings.innerWidth
        var random = SeededRandom(seed: settings.seed)
        let adapter: UserAdapter
        do {
            adapter = try UserAdapter(configuration: configuration, using: &random)
        } catch {
            throw ProcessFailure("\(error)", exitCode: .badInput)
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
