import Catalogues
import Bytes
import Foundation
import JSON
import NeuralNetwork
import Tensors
import Tokenization

/// Reads untrusted bundles: no number in a bundle may determine how much memory is taken or crash the process.
///
/// Configurations are checked against their ranges, then against each other, the tokenizer and the catalogue, then
/// against names and shapes in the headers of the weights. Only then is the model made, from weights that are present.
extension ModelBundle {
    /// Maximum size of a configuration or of the manifest in bytes.
    private static let longestConfiguration = 1 << 20
    /// No model has a larger catalogue than this.
    private static let longestCatalogue = 1 << 30

    /// Reads a bundle and checks every file against its hash.
    ///
    /// - Parameter folder: the bundle's folder.
    /// - Returns: the bundle, with its weights in memory; the folder is not needed afterwards.
    /// - Throws: `BundleError` naming what is missing, incomplete, changed or not supported.
    public static func load(_ folder: String) throws(BundleError) -> ModelBundle {
        let manifest = try readManifest(folder)
        for file in files {
            guard let expected = manifest.parts[file] else { throw .incomplete(folder: folder, file: file) }
            let found = SHA256.hexDigest(of: try mapped(folder, file))
            guard found == expected else {
                throw .altered(folder: folder, file: file, expected: expected, found: found)
            }
        }
        let version = self.version(of: manifest.parts)
        guard version == manifest.version else {
            throw .altered(folder: folder, file: manifestFile, expected: version, found: manifest.version)
        }
        let bundle = try read(folder, version: version)
        // The files were opened twice, for the hash and for the weights; the bundle may have been replaced in between.
        guard try readManifest(folder).version == version else { throw .replaced(folder: folder) }
        return bundle
    }

    static func readManifest(_ folder: String) throws(BundleError) -> Manifest {
        // `.` exists only in folders.
        guard FileManager.default.fileExists(atPath: "\(folder)/.") else { throw .missing(folder: folder) }
        let manifest = try decoded(Manifest.self, folder, manifestFile)
        guard manifest.format == Manifest.format else {
            let reason = "format is \(manifest.format), this program reads \(Manifest.format)"
            throw .unreadable(folder: folder, file: manifestFile, reason: reason)
        }
        return manifest
    }

    private static func read(_ folder: String, version: String) throws(BundleError) -> ModelBundle {
        let shape = UserLanguageModel.Configuration(
            encoder: try decoded(AutoregressiveEncoder.Configuration.self, folder, encoderConfiguration),
            adapter: try decoded(UserAdapter.Configuration.self, folder, adapterConfiguration),
            languageModel: try decoded(LanguageModelConfiguration.self, folder, languageModelConfiguration)
        )
        try named(folder, encoderConfiguration) { try shape.encoder.validate() }
        try named(folder, adapterConfiguration) { try shape.adapter.validate() }
        try named(folder, languageModelConfiguration) { try shape.languageModel.validate() }
        let tokenizer = try named(folder, tokenizerFile) { try Tokenizer(contentsOf: "\(folder)/\(tokenizerFile)") }
        let catalogue = try named(folder, catalogueFile) {
            let path = "\(folder)/\(catalogueFile)"
            return try Catalogue(json: Array(FileBytes.contents(path, atMost: longestCatalogue)), file: path)
        }
        do {
            try shape.requireFit()
            try requireFit(shape, tokenizer: tokenizer, catalogue: catalogue)
        } catch {
            throw .mismatched(folder: folder, reason: error.description)
        }
        let model = try readModel(folder, shape)
        for parameter in model.parameters { parameter.isTrainable = false }
        do {
            return try ModelBundle(version: version, model: model, tokenizer: tokenizer, catalogue: catalogue)
        } catch {
            throw .mismatched(folder: folder, reason: error.description)
        }
    }

    /// Checks all three headers against the configurations before the first weight is read.
    private static func readModel(
        _ folder: String,
        _ shape: UserLanguageModel.Configuration
    ) throws(BundleError) -> UserLanguageModel {
        var encoder = try weights(folder, encoderWeights) { (declared) throws(ModelConfigurationError) in
            _ = try AutoregressiveEncoder(configuration: shape.encoder, weights: &declared)
        }
        var adapter = try weights(folder, adapterWeights) { (declared) throws(ModelConfigurationError) in
            _ = try UserAdapter(configuration: shape.adapter, weights: &declared)
        }
        var language = try weights(folder, languageModelWeights) { (declared) throws(ModelConfigurationError) in
            _ = try LanguageModel(configuration: shape.languageModel, weights: &declared)
        }
        let model: UserLanguageModel
        do {
            model = try UserLanguageModel(
                encoder: AutoregressiveEncoder(configuration: shape.encoder, weights: &encoder),
                adapter: UserAdapter(configuration: shape.adapter, weights: &adapter),
                languageModel: LanguageModel(configuration: shape.languageModel, weights: &language)
            )
        } catch {
            throw .mismatched(folder: folder, reason: error.description)
        }
        try named(folder, encoderWeights) { try encoder.finish() }
        try named(folder, adapterWeights) { try adapter.finish() }
        try named(folder, languageModelWeights) { try language.finish() }
        return model
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
