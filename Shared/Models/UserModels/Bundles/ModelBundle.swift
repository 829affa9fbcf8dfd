public import Catalogues
import Bytes
import Foundation
import NeuralNetwork
import Tensors
public import Tokenization

/// Everything that the services need from a trained model, as one folder with one version.
///
/// ```
/// bundle.json             format, version, and the hash of every other file
/// catalogue.json          the items
/// encoder/                config.json, model.safetensors
/// adapter/                config.json, model.safetensors: Perceiver, projection and cross-attention
/// language-model/         config.json, model.safetensors, tokenizer.json, as Hugging Face has them
/// ```
/// Writes are atomic. The version is derived from the hashes, so two bundles with the same version are equal.
public struct ModelBundle: Sendable {
    struct Manifest: Codable {
        static let format = 1
        var format: Int
        var version: String
        var parts: [String: String]
    }

    static let manifestFile = "bundle.json"
    static let encoderConfiguration = "encoder/config.json"
    static let encoderWeights = "encoder/model.safetensors"
    static let adapterConfiguration = "adapter/config.json"
    static let adapterWeights = "adapter/model.safetensors"
    static let languageModelConfiguration = "language-model/config.json"
    static let languageModelWeights = "language-model/model.safetensors"
    static let tokenizerFile = "language-model/tokenizer.json"
    static let catalogueFile = "catalogue.json"

    /// Every file except the manifest, in the order in which their hashes enter the version.
    static let files = [
        catalogueFile, encoderConfiguration, encoderWeights, adapterConfiguration, adapterWeights,
        languageModelConfiguration, languageModelWeights, tokenizerFile,
    ]

    /// The first 16 hexadecimal digits of the SHA-256 of all parts' hashes.
    public let version: String
    /// The model.
    public let model: UserLanguageModel
    /// The tokenizer of the language model.
    public let tokenizer: Tokenizer
    /// The items that the model knows.
    public let catalogue: Catalogue
    /// The event features that the encoder reads.
    public let features: EventFeatures
    /// The format of questions and answers.
    public let format: PromptFormat
    /// Titles and categories as prefix trees.
    public let answers: KnownAnswers

    /// The maximum number of events of a timeline that the encoder reads.
    public var timelineLength: Int { model.encoder.configuration.length }
    /// Number of vectors in a user's context.
    public var contextRows: Int { model.adapter.configuration.perceiver.latents }
    /// Width of each vector of a user's context, and of the pooled vector.
    public var contextColumns: Int { model.adapter.configuration.perceiver.width }

    /// An engine that encodes timelines.
    ///
    /// - Parameter threads: number of threads that work on a batch, at least 1.
    /// - Returns: an engine for one owner; it shares the weights.
    /// - Throws: `ModelConfigurationError` when `threads` is out of range.
    public func makeEncodingEngine(threads: Int) throws(ModelConfigurationError) -> EncodingEngine {
        try require("threads", threads, threads > 0, "at least 1")
        return EncodingEngine(
            encoder: model.encoder,
            perceiver: model.adapter.perceiver,
            features: features,
            threads: threads
        )
    }

    /// An engine that answers questions.
    ///
    /// - Parameter limits: the limits of one answer.
    /// - Returns: an engine for one owner; it shares the weights.
    /// - Throws: `ModelConfigurationError` when the language model's maximum length is too short for the answers.
    public func makeAnsweringEngine(limits: AnswerLimits = .none) throws(ModelConfigurationError) -> AnsweringEngine {
        try AnsweringEngine(
            model: model,
            catalogue: catalogue,
            features: features,
            answers: answers,
            format: format,
            limits: limits
        )
    }

    /// Combines parts that were read or trained, and checks that they fit together.
    init(
        version: String,
        model: UserLanguageModel,
        tokenizer: Tokenizer,
        catalogue: Catalogue
    ) throws(ModelConfigurationError) {
        try Self.requireFit(model.configuration, tokenizer: tokenizer, catalogue: catalogue)
        let shape = model.encoder.configuration
        self.version = version
        self.model = model
        self.tokenizer = tokenizer
        self.catalogue = catalogue
        features = EventFeatures(configuration: shape.features, catalogue: catalogue)
        format = try PromptFormat(tokenizer: tokenizer)
        answers = KnownAnswers(catalogue: catalogue, categoryNames: features.categoryNames, format: format)
    }

    /// Throws when a model of this shape does not fit these tokens and items.
    static func requireFit(
        _ shape: UserLanguageModel.Configuration,
        tokenizer: Tokenizer,
        catalogue: Catalogue
    ) throws(ModelConfigurationError) {
        let (items, categories) = (shape.encoder.itemCount, shape.encoder.categoryCount)
        try require(
            "encoder.itemCount",
            items,
            items == catalogue.count,
            "the catalogue's \(catalogue.count) items"
        )
        try require(
            "encoder.categoryCount",
            categories,
            categories == catalogue.categories.count,
            "the catalogue's \(catalogue.categories.count) categories"
        )
        let tokens = shape.languageModel.vocabularySize
        try require(
            "language-model vocab_size",
            tokens,
            tokens >= tokenizer.vocabularySize,
            "at least the tokenizer's \(tokenizer.vocabularySize)"
        )
    }

    // MARK: - Writing

    /// Atomically writes a bundle, replacing the existing one.
    ///
    /// - Parameters:
    ///   - model: the trained model.
    ///   - tokenizer: the language model's tokenizer.
    ///   - catalogue: the items, in the encoder's order.
    ///   - folder: the destination.
    /// - Returns: the new bundle's version.
    /// - Throws: `BundleError` when the parts do not fit together or the folder cannot be written.
    @discardableResult
    public static func write(
        model: UserLanguageModel,
        tokenizer: Tokenizer,
        catalogue: Catalogue,
        to folder: String
    ) throws(BundleError) -> String {
        do {
            _ = try ModelBundle(version: "", model: model, tokenizer: tokenizer, catalogue: catalogue)
        } catch {
            throw .mismatched(folder: folder, reason: error.description)
        }
        var version = ""
        do {
            try DurableFolder.write(to: folder) { temporary in
                for part in ["encoder", "adapter", "language-model"] {
                    try FileManager.default.createDirectory(
                        atPath: "\(temporary)/\(part)",
                        withIntermediateDirectories: true
                    )
                }
                try catalogue.write(to: "\(temporary)/\(catalogueFile)")
                try tokenizer.save(to: "\(temporary)/\(tokenizerFile)")
                try writeJSON(model.encoder.configuration, "\(temporary)/\(encoderConfiguration)")
                try writeJSON(model.adapter.configuration, "\(temporary)/\(adapterConfiguration)")
                try writeJSON(model.languageModel.configuration, "\(temporary)/\(languageModelConfiguration)")
                try writeWeights(model.encoder, "\(temporary)/\(encoderWeights)")
                try writeWeights(model.adapter, "\(temporary)/\(adapterWeights)")
                try writeWeights(model.languageModel, "\(temporary)/\(languageModelWeights)")
                var parts: [String: String] = [:]
                for file in files { parts[file] = SHA256.hexDigest(of: try mapped(temporary, file)) }
                version = self.version(of: parts)
                let manifest = Manifest(format: Manifest.format, version: version, parts: parts)
                try writeJSON(manifest, "\(temporary)/\(manifestFile)")
            }
        } catch {
            throw .unwritable(folder: folder, reason: "\(error)")
        }
        return version
    }

    static func version(of parts: [String: String]) -> String {
        let lines = files.map { "\($0) \(parts[$0] ?? "")\n" }.joined()
        return String(SHA256.hexDigest(of: Array(lines.utf8)).prefix(16))
    }

    private static func writeJSON(_ value: some Encodable, _ path: String) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        try encoder.encode(value).write(to: URL(filePath: path))
    }

    private static func writeWeights(_ part: some Module, _ path: String) throws {
        // Hugging Face's loader rejects files that do not name the framework whose layout they use.
        try SafeTensors.write(part.parameters.map(\.named), metadata: ["format": "pt"], to: path)
    }
}
