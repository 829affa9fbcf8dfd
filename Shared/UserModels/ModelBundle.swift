public import Datasets
import Digests
import Foundation
import NeuralNetwork
import Tensors
public import Tokenization

/// Everything the services need of a trained model, as one folder with one version.
///
/// ```
/// bundle.json             format, version, and the hash of every other file
/// catalogue.json          the items
/// encoder/                config.json, model.safetensors
/// adapter/                config.json, model.safetensors: Perceiver, projection and cross-attention
/// language-model/         config.json, model.safetensors, tokenizer.json, as Hugging Face has them
/// ```
/// It is written whole or not at all. The version is made of the hashes, so two bundles of one version are equal.
public struct ModelBundle: Sendable {
    private struct Manifest: Codable {
        static let format = 1
        var format: Int
        var version: String
        var parts: [String: String]
    }

    private static let manifestFile = "bundle.json"
    private static let encoderConfiguration = "encoder/config.json"
    private static let encoderWeights = "encoder/model.safetensors"
    private static let adapterConfiguration = "adapter/config.json"
    private static let adapterWeights = "adapter/model.safetensors"
    private static let languageModelConfiguration = "language-model/config.json"
    private static let languageModelWeights = "language-model/model.safetensors"
    private static let tokenizerFile = "language-model/tokenizer.json"
    private static let catalogueFile = "catalogue.json"

    /// Every file but the manifest, in the order their hashes enter the version.
    private static let files = [
        catalogueFile, encoderConfiguration, encoderWeights, adapterConfiguration, adapterWeights,
        languageModelConfiguration, languageModelWeights, tokenizerFile,
    ]

    /// The first 16 hexadecimal digits of the SHA-256 of all parts' hashes.
    public let version: String
    /// The model.
    public let model: UserLanguageModel
    /// Splits texts into the language model's tokens.
    public let tokenizer: Tokenizer
    /// The items it knows.
    public let catalogue: Catalogue
    /// What the encoder reads of an event.
    public let features: EventFeatures
    /// How questions and answers are written.
    public let format: PromptFormat
    /// Titles and categories as prefix trees.
    public let answers: KnownAnswers

    /// The most events of a timeline that the encoder reads.
    public var timelineLength: Int { model.encoder.configuration.length }
    /// Vectors of a user's context.
    public var contextRows: Int { model.adapter.configuration.perceiver.latents }
    /// Width of each vector of a user's context, and of the pooled vector.
    public var contextColumns: Int { model.adapter.configuration.perceiver.width }

    /// An engine that encodes timelines.
    ///
    /// - Parameter threads: how many threads work on a batch, at least 1.
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
    /// - Returns: an engine for one owner; it shares the weights.
    /// - Throws: `ModelConfigurationError` when the language model's texts are too short for the answers.
    public func makeAnsweringEngine() throws(ModelConfigurationError) -> AnsweringEngine {
        try AnsweringEngine(model: model, catalogue: catalogue, features: features, answers: answers, format: format)
    }

    // MARK: - Reading

    /// Reads a bundle and checks every file against its hash.
    ///
    /// - Parameter folder: the bundle's folder.
    /// - Returns: the bundle, with its weights in memory; the folder is not needed afterwards.
    /// - Throws: `BundleError` that names what is missing, half-written, changed or not supported.
    public static func load(_ folder: String) throws(BundleError) -> ModelBundle {
        let manifest = try readManifest(folder)
        for file in files {
            guard let expected = manifest.parts[file] else { throw .incomplete(folder: folder, file: file) }
            let found = SHA256.hexDigest(of: try bytes(folder, file))
            guard found == expected else {
                throw .altered(folder: folder, file: file, expected: expected, found: found)
            }
        }
        let version = self.version(of: manifest.parts)
        guard version == manifest.version else {
            throw .altered(folder: folder, file: manifestFile, expected: version, found: manifest.version)
        }
        let bundle = try read(folder, version: version)
        // The files were opened twice, for the hash and for the weights; a new bundle may have come in between.
        guard try readManifest(folder).version == version else { throw .replaced(folder: folder) }
        return bundle
    }

    private static func readManifest(_ folder: String) throws(BundleError) -> Manifest {
        // The dot exists in folders only.
        guard FileManager.default.fileExists(atPath: "\(folder)/.") else { throw .missing(folder: folder) }
        let manifest = try decoded(Manifest.self, folder, manifestFile)
        guard manifest.format == Manifest.format else {
            let reason = "format is \(manifest.format), this program reads \(Manifest.format)"
            throw .unreadable(folder: folder, file: manifestFile, reason: reason)
        }
        return manifest
    }

    private static func read(_ folder: String, version: String) throws(BundleError) -> ModelBundle {
        let encoderShape = try decoded(AutoregressiveEncoder.Configuration.self, folder, encoderConfiguration)
        let adapterShape = try decoded(UserAdapter.Configuration.self, folder, adapterConfiguration)
        let languageShape = try decoded(LanguageModelConfiguration.self, folder, languageModelConfiguration)
        let model: UserLanguageModel
        do {
            var random = SeededRandom(seed: 0)
            let shapes = UserLanguageModel.Configuration(
                encoder: encoderShape,
                adapter: adapterShape,
                languageModel: languageShape
            )
            model = try UserLanguageModel(configuration: shapes, using: &random)
        } catch {
            throw .mismatched(folder: folder, reason: error.description)
        }
        try load(model.encoder, folder, encoderWeights)
        try load(model.adapter, folder, adapterWeights)
        try load(model.languageModel, folder, languageModelWeights)
        for parameter in model.parameters { parameter.isTrainable = false }
        let tokenizer: Tokenizer
        do {
            tokenizer = try Tokenizer(contentsOf: "\(folder)/\(tokenizerFile)")
        } catch {
            throw .unreadable(folder: folder, file: tokenizerFile, reason: error.description)
        }
        let catalogue: Catalogue
        do {
            catalogue = try Catalogue(contentsOf: "\(folder)/\(catalogueFile)")
        } catch {
            throw .unreadable(folder: folder, file: catalogueFile, reason: "\(error)")
        }
        do {
            return try ModelBundle(version: version, model: model, tokenizer: tokenizer, catalogue: catalogue)
        } catch {
            throw .mismatched(folder: folder, reason: error.description)
        }
    }

    private static func load(_ part: some Module, _ folder: String, _ file: String) throws(BundleError) {
        do {
            try SafeTensors(path: "\(folder)/\(file)").load(into: part.parameters.map(\.named))
        } catch {
            throw .unreadable(folder: folder, file: file, reason: "\(error)")
        }
    }

    private static func decoded<Value: Decodable>(
        _ type: Value.Type,
        _ folder: String,
        _ file: String
    ) throws(BundleError) -> Value {
        let data = try bytes(folder, file)
        do {
            return try JSONDecoder().decode(type, from: data)
        } catch {
            throw .unreadable(folder: folder, file: file, reason: "\(error)")
        }
    }

    private static func bytes(_ folder: String, _ file: String) throws(BundleError) -> Data {
        let path = "\(folder)/\(file)"
        guard FileManager.default.fileExists(atPath: path) else { throw .incomplete(folder: folder, file: file) }
        do {
            return try Data(contentsOf: URL(filePath: path))
        } catch {
            throw .unreadable(folder: folder, file: file, reason: error.localizedDescription)
        }
    }

    /// Joins parts that were read or trained, and checks that they fit.
    private init(
        version: String,
        model: UserLanguageModel,
        tokenizer: Tokenizer,
        catalogue: Catalogue
    ) throws(ModelConfigurationError) {
        let shape = model.encoder.configuration
        try require(
            "encoder.itemCount",
            shape.itemCount,
            shape.itemCount == catalogue.count,
            "the catalogue's \(catalogue.count) items"
        )
        try require(
            "encoder.categoryCount",
            shape.categoryCount,
            shape.categoryCount == catalogue.categories.count,
            "the catalogue's \(catalogue.categories.count) categories"
        )
        let tokens = model.languageModel.configuration.vocabularySize
        try require(
            "language-model vocab_size",
            tokens,
            tokens >= tokenizer.vocabularySize,
            "at least the tokenizer's \(tokenizer.vocabularySize)"
        )
        self.version = version
        self.model = model
        self.tokenizer = tokenizer
        self.catalogue = catalogue
        features = EventFeatures(configuration: shape.features, catalogue: catalogue)
        format = try PromptFormat(tokenizer: tokenizer)
        answers = KnownAnswers(catalogue: catalogue, categoryNames: features.categoryNames, format: format)
    }

    // MARK: - Writing

    /// Writes a bundle in place of the one that is there, whole or not at all.
    ///
    /// - Parameters:
    ///   - model: the trained model.
    ///   - tokenizer: the language model's.
    ///   - catalogue: the items, in the order the encoder knows them.
    ///   - folder: where.
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
                for file in files { parts[file] = SHA256.hexDigest(of: try bytes(temporary, file)) }
                version = self.version(of: parts)
                let manifest = Manifest(format: Manifest.format, version: version, parts: parts)
                try writeJSON(manifest, "\(temporary)/\(manifestFile)")
            }
        } catch {
            throw .unwritable(folder: folder, reason: "\(error)")
        }
        return version
    }

    private static func version(of parts: [String: String]) -> String {
        let lines = files.map { "\($0) \(parts[$0] ?? "")\n" }.joined()
        return String(SHA256.hexDigest(of: Array(lines.utf8)).prefix(16))
    }

    private static func writeJSON(_ value: some Encodable, _ path: String) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        try encoder.encode(value).write(to: URL(filePath: path))
    }

    private static func writeWeights(_ part: some Module, _ path: String) throws {
        // Hugging Face's loader refuses files that do not say which framework's layout they have.
        try SafeTensors.write(part.parameters.map(\.named), metadata: ["format": "pt"], to: path)
    }
}
