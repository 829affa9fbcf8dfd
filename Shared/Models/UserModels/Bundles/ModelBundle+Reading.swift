import Catalogues
import Bytes
import Foundation
import JSON
import ModelFiles
import NeuralNetwork
import Tensors
import Tokenization

/// Reads untrusted bundles: no number in a bundle may determine how much memory is taken or crash the process.
///
/// Configurations are checked against their ranges and against the headers of their weights, then against each other, the
/// tokenizer and the catalogue. Only then are models made, from weights that are present.
extension ModelBundle {
    static let encoderConfiguration = "encoder/config.json"
    static let encoderWeights = "encoder/model.safetensors"
    static let adapterConfiguration = "adapter/config.json"
    static let adapterWeights = "adapter/model.safetensors"
    static let fusionFile = "adapter/fusion.json"
    static let catalogueFile = "catalogue.json"
    private static let tokenizerFile = "language-model/tokenizer.json"

    /// Maximum size of a configuration or of the manifest in bytes.
    private static let longestConfiguration = 1 << 20
    /// No model has a larger catalogue than this.
    private static let longestCatalogue = 1 << 30

    /// Reads a bundle and checks every file against its hash.
    ///
    /// - Parameter folder: the bundle's folder.
    /// - Returns: the bundle, with all but the language model's weights in memory. The language model's files are mapped:
    ///   they may be replaced by others, but not changed in place, until the last engine and model is made.
    /// - Throws: `BundleError` naming what is missing, incomplete, changed or not supported.
    public static func load(_ folder: String) throws(BundleError) -> ModelBundle {
        let manifest = try readManifest(folder)
        let place = LanguageModelPlace(of: manifest, in: folder)
        for file in BundleManifest.ownParts {
            guard let expected = manifest.parts[file] else { throw .incomplete(folder: folder, file: file) }
            try check(folder, file, at: "\(folder)/\(file)", expected)
        }
        for file in BundleManifest.optionalParts {
            if let expected = manifest.parts[file] { try check(folder, file, at: "\(folder)/\(file)", expected) }
        }
        try checkLanguageModel(folder, manifest, place)
        let version = BundleManifest.version(of: manifest.parts, chatTemplate: manifest.chatTemplate)
        guard version == manifest.version else {
            throw .altered(folder: folder, file: BundleManifest.file, expected: version, found: manifest.version)
        }
        let bundle = try read(folder, manifest, place)
        // The files were opened twice, for the hash and for the weights; the bundle may have been replaced in between.
        guard try readManifest(folder).version == version else { throw .replaced(folder: folder) }
        return bundle
    }

    static func readManifest(_ folder: String) throws(BundleError) -> BundleManifest {
        // `.` exists only in folders.
        guard FileManager.default.fileExists(atPath: "\(folder)/.") else { throw .missing(folder: folder) }
        let manifest = try decoded(BundleManifest.self, folder, BundleManifest.file)
        func refuse(_ reason: String) -> BundleError {
            .unreadable(folder: folder, file: BundleManifest.file, reason: reason)
        }
        guard manifest.format == BundleManifest.format else {
            throw refuse("format is \(manifest.format), this program reads \(BundleManifest.format)")
        }
        let known = BundleManifest.ownParts + BundleManifest.optionalParts
        for part in manifest.parts.keys where !known.contains(part) {
            let name = part.dropFirst(BundleManifest.languageModelFolder.count)
            guard part.hasPrefix(BundleManifest.languageModelFolder), !name.isEmpty, !name.contains("/") else {
                let own = known.joined(separator: ", ")
                throw refuse("parts has \(part), expected \(own), or a file in \(BundleManifest.languageModelFolder)")
            }
        }
        return manifest
    }

    private static func check(
        _ folder: String,
        _ file: String,
        at path: String,
        _ expected: String
    ) throws(BundleError) {
        let found = SHA256.hexDigest(of: try named(folder, file) { try FileBytes.mapped(path) })
        guard found == expected else {
            throw .altered(folder: folder, file: file, expected: expected, found: found)
        }
    }

    /// Checks every file that the language model may be read from.
    private static func checkLanguageModel(
        _ folder: String,
        _ manifest: BundleManifest,
        _ place: LanguageModelPlace
    ) throws(BundleError) {
        let parts = manifest.languageModelParts
        guard let first = parts.first else {
            throw .incomplete(folder: folder, file: BundleManifest.languageModelFolder + "config.json")
        }
        if let outside = manifest.languageModel, !FileManager.default.fileExists(atPath: place.path) {
            let reason = "languageModel is \(outside), where nothing is: put the model's files there"
            throw .unreadable(folder: folder, file: first, reason: reason)
        }
        for part in parts { try check(folder, part, at: place.file(of: part), manifest.parts[part] ?? "") }
        for part in try named(folder, first, { try place.parts() }) where manifest.parts[part] == nil {
            let reason = "it is not in the manifest's parts: take it away, or write the bundle again"
            throw .unreadable(folder: folder, file: part, reason: reason)
        }
    }

    private static func read(
        _ folder: String,
        _ manifest: BundleManifest,
        _ place: LanguageModelPlace
    ) throws(BundleError) -> ModelBundle {
        let model =
            manifest.languageModelParts.first { $0.hasSuffix(".safetensors") || $0.hasSuffix(".gguf") }
            ?? BundleManifest.languageModelFolder
        let source = try named(folder, model) { try LanguageModelSource.open(place.path) }
        let shape = UserLanguageModel.Configuration(
            encoder: try decoded(AutoregressiveEncoder.Configuration.self, folder, encoderConfiguration),
            adapter: try decoded(UserAdapter.Configuration.self, folder, adapterConfiguration),
            languageModel: source.configuration
        )
        try named(folder, encoderConfiguration) { try shape.encoder.validate() }
        try named(folder, adapterConfiguration) { try shape.adapter.validate() }
        let tokenizerPart = source.format == .gguf ? model : tokenizerFile
        guard let tokenizer = try named(folder, tokenizerPart, { try source.tokenizer() }) else {
            throw .incomplete(folder: folder, file: tokenizerFile)
        }
        let catalogue = try named(folder, catalogueFile) {
            let path = "\(folder)/\(catalogueFile)"
            return try Catalogue(json: Array(FileBytes.contents(path, atMost: longestCatalogue)), file: path)
        }
        do {
            try requireFit(shape, tokenizer: tokenizer, catalogue: catalogue)
        } catch {
            throw .mismatched(folder: folder, reason: error.description)
        }
        try named(folder, model) { try source.checkIsFinite() }
        let format = try named(folder, tokenizerPart) {
            try PromptFormat(tokenizer: tokenizer, text: source.text, template: manifest.chatTemplate)
        }
        let fusion = try readFusion(folder, manifest)
        let (encoder, adapter) = try readModules(folder, shape)
        for parameter in encoder.parameters + adapter.parameters { parameter.isTrainable = false }
        do {
            return try ModelBundle(
                version: manifest.version,
                encoder: encoder,
                adapter: adapter,
                languageModel: source,
                format: format,
                catalogue: catalogue,
                fusion: fusion
            )
        } catch {
            throw .mismatched(folder: folder, reason: error.description)
        }
    }

    /// The weights of the fusion; nil for a bundle without.
    private static func readFusion(_ folder: String, _ manifest: BundleManifest) throws(BundleError) -> FusionWeights? {
        guard manifest.parts[fusionFile] != nil else { return nil }
        let weights = try decoded(FusionWeights.self, folder, fusionFile)
        try named(folder, fusionFile) { try weights.validate() }
        return weights
    }

    /// Checks both headers against the configurations before the first weight is read.
    private static func readModules(
        _ folder: String,
        _ shape: UserLanguageModel.Configuration
    ) throws(BundleError) -> (AutoregressiveEncoder, UserAdapter) {
        var encoderWeights = try weights(folder, encoderWeights) { (declared) throws(ModelConfigurationError) in
            _ = try AutoregressiveEncoder(configuration: shape.encoder, weights: &declared)
        }
        var adapterWeights = try weights(folder, adapterWeights) { (declared) throws(ModelConfigurationError) in
            _ = try UserAdapter(configuration: shape.adapter, weights: &declared)
        }
        let (encoder, adapter): (AutoregressiveEncoder, UserAdapter)
        do {
            encoder = try AutoregressiveEncoder(configuration: shape.encoder, weights: &encoderWeights)
            adapter = try UserAdapter(configuration: shape.adapter, weights: &adapterWeights)
        } catch {
            throw .mismatched(folder: folder, reason: error.description)
        }
        try named(folder, Self.encoderWeights) { try encoderWeights.finish() }
        try named(folder, Self.adapterWeights) { try adapterWeights.finish() }
        return (encoder, adapter)
    }

    private static func weights(
        _ folder: String,
        _ file: String,
        _ declare: (inout DeclaredWeights) throws(ModelConfigurationError) -> Void
    ) throws(BundleError) -> StoredWeights {
        try named(folder, file) { try StoredWeights(SafeTensors(path: "\(folder)/\(file)"), declare: declare) }
    }

    static func decoded<Value: Decodable>(
        _ type: Value.Type,
        _ folder: String,
        _ file: String
    ) throws(BundleError) -> Value {
        let path = "\(folder)/\(file)"
        return try named(folder, file) {
            try JSONValue.decode(type, from: FileBytes.contents(path, atMost: longestConfiguration))
        }
    }

    /// The bytes of a memory-mapped file, which take no memory until they are read.
    static func mapped(_ folder: String, _ file: String) throws(BundleError) -> Data {
        try named(folder, file) { try FileBytes.mapped("\(folder)/\(file)") }
    }

    /// Runs `body` and converts its errors to errors that name the bundle's file.
    private static func named<Value>(
        _ folder: String,
        _ file: String,
        _ body: () throws -> Value
    ) throws(BundleError) -> Value {
        do {
            return try body()
        } catch let failure as FileBytes.Failure where failure.isMissing {
            throw .incomplete(folder: folder, file: file)
        } catch let failure as FileBytes.Failure {
            throw .unreadable(folder: folder, file: file, reason: failure.reason)
        } catch {
            throw .unreadable(folder: folder, file: file, reason: JSONError.reason(error))
        }
    }
}
