import ServiceRuntime

/// Settings of the text prompt, in training and without.
enum TextPromptKeys {
    static let languageModel = ConfigurationKey<String>(
        "language-model",
        help: "A published language model (a GGUF file, a folder of Hugging Face's), or the folder of a training"
    )
    static let chatTemplate = ConfigurationKey<String>(
        "chat-template",
        help: "The name of the chat template, in place of the one in a published language model's files"
    )
    static let context = ConfigurationKey<Int>(
        "context",
        default: 1_024,
        in: 16...1_000_000,
        unit: "tokens",
        help: "How long a text with its answer may be; as many of the latest events as fit are in it"
    )
    static let events = ConfigurationKey<Int>(
        "events",
        in: 1...1_000_000,
        help: "How many events a text has at most; by default as many as fit"
    )
}
