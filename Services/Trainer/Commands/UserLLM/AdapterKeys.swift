import ModelFiles
public import ServiceRuntime
public import UserModels

extension UserAdapter.Kind: ConfigurationValue {}
extension UserAdapter.Reach: ConfigurationValue {}

/// The settings of what joins an encoder and a language model.
enum AdapterKeys {
    private static let latents = ConfigurationKey<Int>("latents", default: 16, in: 1...1_024, help: "Rows of a context")
    private static let layers = ConfigurationKey<Int>(
        "perceiver-layers",
        default: 2,
        in: 1...100,
        help: "Layers of the Perceiver"
    )
    private static let integration = ConfigurationKey<UserAdapter.Kind>(
        "integration",
        default: .crossAttention,
        help: "How a context enters the language model"
    )
    private static let reach = ConfigurationKey<UserAdapter.Reach>(
        "context-from",
        help: "From which token on the context acts; last-prompt-token lets all users share what a question computes, "
            + "and is the default for cross-attention with a published language model, else first-token"
    )
    private static let first = ConfigurationKey<Int>(
        "from-block",
        in: 0...999,
        help: "The first block with cross-attention before it; by default two thirds up a published model, else 0"
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
        help: "Width of queries, keys and values of cross-attention; by default the language model's, of a published "
            + "one at most 256"
    )
    private static let gate = ConfigurationKey<Double>(
        "gate",
        in: 0...0.99,
        help: "How far the gates are open at the start; by default 0.7 where all of a language model of our own is "
            + "trained along, and 0 otherwise, which leaves the language model's answers as they are"
    )

    static let all: [any AnyConfigurationKey] = [
        latents, layers, integration, reach, first, every, heads, width, gate,
    ]

    /// What was set; nil leaves the choice to the language model.
    struct Settings: Sendable {
        var latents = 16
        var perceiverLayers = 2
        var kind = UserAdapter.Kind.crossAttention
        var reach: UserAdapter.Reach?
        var first: Int?
        var every = 1
        var heads = 4
        var innerWidth: Int?
        var gateOpening: Float?
    }

    /// What only cross-attention has.
    private static let ofCrossAttention: [any AnyConfigurationKey] = [first, every, heads, width, gate]

    /// Reads the settings.
    ///
    /// - Throws: `ConfigurationError` naming a value that is not allowed, or that a soft prompt makes no use of.
    static func settings(_ reader: ConfigurationReader) throws(ConfigurationError) -> Settings {
        let kind = try reader.value(of: integration)
        let wanted = try reader.optionalValue(of: reach)
        if kind == .softPrompt {
            let name = "--\(integration.name) \(kind.rawValue)"
            for key in ofCrossAttention where reader.isSet(key) {
                let value = reader.shownValues[key.name] ?? ""
                throw .conflict("--\(key.name) \(value) is for cross-attention, and there is \(name): leave one out")
            }
            if let wanted, wanted != .firstToken {
                let own = UserAdapter.Reach.firstToken.rawValue
                throw .conflict("--\(reach.name) is \(wanted.rawValue), expected \(own) with \(name)")
            }
        }
        return Settings(
            latents: try reader.value(of: latents),
            perceiverLayers: try reader.value(of: layers),
            kind: kind,
            reach: wanted,
            first: try reader.optionalValue(of: first),
            every: try reader.value(of: every),
            heads: try reader.value(of: heads),
            innerWidth: try reader.optionalValue(of: width),
            gateOpening: try reader.optionalValue(of: gate).map { Float($0) }
        )
    }

    /// The names of values that the settings decide, as a model's configuration calls them.
    private static let names = [
        "adapter.perceiver.latents": latents.name, "adapter.perceiver.layers": layers.name,
        "adapter.contextFrom": reach.name, "adapter.crossAttentionFrom": first.name,
        "adapter.crossAttentionEvery": every.name, "adapter.crossAttentionHeads": heads.name,
        "adapter.crossAttentionWidth": width.name, "adapter.gateOpening": gate.name,
    ]

    /// What is wrong with a configuration that was made by settings, with the name of the setting.
    static func failure(_ error: ModelConfigurationError) -> ProcessFailure {
        ProcessFailure((names[error.key].map { "--\($0): " } ?? "") + error.description, exitCode: .badInput)
    }
}

extension UserAdapter.Configuration {
    /// The widest cross-attention that a published language model gets by default.
    private static let greatestInnerWidth = 256

    /// An adapter between an encoder and a language model.
    ///
    /// - Parameters:
    ///   - settings: what was set.
    ///   - encoder: the encoder's configuration.
    ///   - languageModel: the language model's configuration.
    ///   - isPublished: whether the language model is a published one, of which as little as possible is disturbed.
    ///   - isTuned: whether the language model is trained along.
    init(
        _ settings: AdapterKeys.Settings,
        encoder: AutoregressiveEncoder.Configuration,
        languageModel: LanguageModelConfiguration,
        isPublished: Bool,
        isTuned: Bool
    ) {
        self.init(encoder: encoder, languageModel: languageModel)
        perceiver.latents = settings.latents
        perceiver.layers = settings.perceiverLayers
        kind = settings.kind
        let isShared = isPublished && kind == .crossAttention
        contextFrom = settings.reach ?? (isShared ? .lastPromptToken : .firstToken)
        crossAttentionFrom = settings.first ?? (isPublished ? languageModel.layers * 2 / 3 : 0)
        crossAttentionEvery = settings.every
        crossAttentionHeads = settings.heads
        crossAttentionWidth =
            settings.innerWidth ?? (isPublished ? min(Self.greatestInnerWidth, languageModel.width) : nil)
        gateOpening = settings.gateOpening ?? (isTuned && !isPublished ? 0.7 : 0)
    }
}
