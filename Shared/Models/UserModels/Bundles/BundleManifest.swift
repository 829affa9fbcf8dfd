import Bytes

/// `bundle.json`: what a bundle consists of.
struct BundleManifest: Codable {
    static let format = 1
    static let file = "bundle.json"

    var format: Int
    var version: String
    /// The SHA-256 hash of each part, by its path in the bundle.
    var parts: [String: String]
    /// The folder or the GGUF file of the language model; nil when its files are in the bundle.
    ///
    /// A GGUF file is the part `language-model/model.gguf` then. The path is relative to the bundle's folder unless it
    /// begins with a slash.
    var languageModel: String?
    /// The name of the chat template; nil for the one in the language model's files.
    var chatTemplate: String?

    /// The parts besides the language model's.
    static let ownParts = [
        "catalogue.json", "encoder/config.json", "encoder/model.safetensors", "adapter/config.json",
        "adapter/model.safetensors",
    ]
    /// Parts that a bundle may have besides.
    static let optionalParts = ["adapter/fusion.json"]
    static let languageModelFolder = "language-model/"
    /// Parts in the order in which their hashes enter the version; others follow in the order of their names.
    private static let order =
        ownParts + [
            "language-model/config.json", "language-model/model.safetensors", "language-model/tokenizer.json",
        ]

    /// Seals parts.
    init(parts: [String: String], languageModel: String? = nil, chatTemplate: String? = nil) {
        format = Self.format
        version = Self.version(of: parts, chatTemplate: chatTemplate)
        self.parts = parts
        self.languageModel = languageModel
        self.chatTemplate = chatTemplate
    }

    /// The version of a bundle with these parts.
    ///
    /// It does not depend on where the language model lies.
    static func version(of parts: [String: String], chatTemplate: String? = nil) -> String {
        let names = order.filter { parts[$0] != nil } + parts.keys.filter { !order.contains($0) }.sorted()
        var lines = names.map { "\($0) \(parts[$0] ?? "")\n" }.joined()
        if let chatTemplate { lines += "chat-template \(chatTemplate)\n" }
        return String(SHA256.hexDigest(of: Array(lines.utf8)).prefix(16))
    }

    /// The language model's parts, sorted.
    var languageModelParts: [String] { parts.keys.filter { $0.hasPrefix(Self.languageModelFolder) }.sorted() }
}
