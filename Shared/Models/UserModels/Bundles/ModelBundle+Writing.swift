public import Catalogues
import Bytes
import Foundation
import ModelFiles
import NeuralNetwork
import Tensors
public import Tokenization

extension ModelBundle {
    /// The language model of a bundle that is written.
    public enum LanguageModelFiles {
        /// A model that was trained here, written in Hugging Face's format.
        case trained(LanguageModel, Tokenizer)
        /// A published model that was trained further, written in Hugging Face's format with the text files of the GGUF file
        /// or the folder at this path.
        case tuned(LanguageModel, from: String)
        /// The files at this path, a GGUF file or a folder, are copied into the bundle.
        case copied(from: String)
        /// The bundle names this path, a GGUF file or a folder, with the hashes of its files.
        case named(String)
    }

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
        try write(
            encoder: model.encoder,
            adapter: model.adapter,
            languageModel: .trained(model.languageModel, tokenizer),
            catalogue: catalogue,
            to: folder
        )
    }

    /// Atomically writes a bundle, replacing the existing one.
    ///
    /// - Parameters:
    ///   - encoder: reads timelines.
    ///   - adapter: connects encoder and language model.
    ///   - languageModel: the language model.
    ///   - catalogue: the items, in the encoder's order.
    ///   - chatTemplate: the name of the language model's chat template; nil for the one in its files.
    ///   - folder: the destination.
    /// - Returns: the new bundle's version.
    /// - Throws: `BundleError` when the parts do not fit together or the folder cannot be written.
    @discardableResult
    public static func write(
        encoder: AutoregressiveEncoder,
        adapter: UserAdapter,
        languageModel: LanguageModelFiles,
        catalogue: Catalogue,
        chatTemplate: String? = nil,
        to folder: String
    ) throws(BundleError) -> String {
        do {
            try requireFit(encoder, adapter, languageModel, catalogue, chatTemplate)
        } catch {
            throw .mismatched(folder: folder, reason: "\(error)")
        }
        var version = ""
        do {
            try DurableFolder.write(to: folder) { temporary in
                for part in ["encoder", "adapter"] { try makeFolder("\(temporary)/\(part)") }
                try catalogue.write(to: "\(temporary)/\(catalogueFile)")
                try writeJSON(encoder.configuration, "\(temporary)/\(encoderConfiguration)")
                try writeJSON(adapter.configuration, "\(temporary)/\(adapterConfiguration)")
                try writeWeights(encoder, "\(temporary)/\(encoderWeights)")
                try writeWeights(adapter, "\(temporary)/\(adapterWeights)")
                let outside = try write(languageModel, into: temporary)
                var manifest = BundleManifest(parts: [:], languageModel: outside)
                let place = LanguageModelPlace(of: manifest, in: temporary)
                for file in BundleManifest.ownParts {
                    manifest.parts[file] = SHA256.hexDigest(of: try mapped(temporary, file))
                }
                for part in try place.parts() {
                    manifest.parts[part] = SHA256.hexDigest(of: try FileBytes.mapped(place.file(of: part)))
                }
                manifest = BundleManifest(parts: manifest.parts, languageModel: outside, chatTemplate: chatTemplate)
                version = manifest.version
                try writeJSON(manifest, "\(temporary)/\(BundleManifest.file)")
            }
        } catch {
            throw .unwritable(folder: folder, reason: "\(error)")
        }
        return version
    }

    /// Atomically replaces a bundle by one that differs in the weights of the fusion alone.
    ///
    /// - Parameters:
    ///   - fusion: the weights; nil takes them out, and the language model answers alone.
    ///   - folder: the bundle.
    /// - Returns: the new version.
    /// - Throws: `BundleError` when the folder is not a bundle, a weight is out of range, or the folder cannot be written.
    @discardableResult
    public static func write(fusion: FusionWeights?, toBundle folder: String) throws(BundleError) -> String {
        do {
            try fusion?.validate()
        } catch {
            throw .mismatched(folder: folder, reason: error.description)
        }
        let manifest = try readManifest(folder)
        var version = ""
        do {
            try DurableFolder.write(to: folder) { temporary in
                for part in ["encoder", "adapter"] { try makeFolder("\(temporary)/\(part)") }
                var parts = manifest.parts
                parts[fusionFile] = nil
                let languageModelFolder = BundleManifest.languageModelFolder
                let isInside = manifest.languageModel == nil
                if isInside { try makeFolder("\(temporary)/\(languageModelFolder)") }
                for part in parts.keys where isInside || !part.hasPrefix(languageModelFolder) {
                    try FileManager.default.copyItem(atPath: "\(folder)/\(part)", toPath: "\(temporary)/\(part)")
                }
                if let fusion {
                    try writeJSON(fusion, "\(temporary)/\(fusionFile)")
                    parts[fusionFile] = SHA256.hexDigest(of: try mapped(temporary, fusionFile))
                }
                let sealed = BundleManifest(
                    parts: parts,
                    languageModel: manifest.languageModel,
                    chatTemplate: manifest.chatTemplate
                )
                version = sealed.version
                try writeJSON(sealed, "\(temporary)/\(BundleManifest.file)")
            }
        } catch {
            throw .unwritable(folder: folder, reason: "\(error)")
        }
        return version
    }

    private static func requireFit(
        _ encoder: AutoregressiveEncoder,
        _ adapter: UserAdapter,
        _ languageModel: LanguageModelFiles,
        _ catalogue: Catalogue,
        _ chatTemplate: String?
    ) throws {
        func check(
            _ configuration: LanguageModelConfiguration,
            _ tokenizer: Tokenizer,
            _ format: () throws -> PromptFormat
        ) throws {
            let shape = UserLanguageModel.Configuration(
                encoder: encoder.configuration,
                adapter: adapter.configuration,
                languageModel: configuration
            )
            try requireFit(shape, tokenizer: tokenizer, catalogue: catalogue)
            let answers = KnownAnswers(catalogue: catalogue, categoryNames: catalogue.categories, format: try format())
            try requireRoom(shape, answers: answers)
        }
        switch languageModel {
        case .trained(let model, let tokenizer):
            try check(model.configuration, tokenizer) { try PromptFormat(tokenizer: tokenizer) }
        case .tuned(_, let path), .copied(let path), .named(let path):
            let source = try LanguageModelSource.open(path)
            guard let tokenizer = try source.tokenizer() else {
                throw ModelConfigurationError(key: path, value: "without a tokenizer", expected: source.tokenizerAdvice)
            }
            try check(source.configuration, tokenizer) {
                try PromptFormat(tokenizer: tokenizer, text: source.text, template: chatTemplate)
            }
            try source.checkIsFinite()
        }
    }

    /// Writes the language model's files.
    ///
    /// - Returns: the path that the manifest names; nil when the files are in the bundle.
    private static func write(_ languageModel: LanguageModelFiles, into temporary: String) throws -> String? {
        let folder = "\(temporary)/\(BundleManifest.languageModelFolder)"
        switch languageModel {
        case .trained(let model, let tokenizer):
            try makeFolder(folder)
            try writeJSON(model.configuration, folder + "config.json")
            try tokenizer.save(to: folder + "tokenizer.json")
            try writeWeights(model, folder + "model.safetensors")
            return nil
        case .tuned(let model, let path):
            try makeFolder(folder)
            let source = try LanguageModelSource.open(path)
            if case .gguf? = source.text.tokenizer { try source.tokenizer()?.save(to: folder + "tokenizer.json") }
            let weights = Dictionary(uniqueKeysWithValues: model.parameters.map { ($0.name, $0.value) })
            try source.write(to: folder, as: .float32, replacing: weights)
            return nil
        case .copied(let path):
            try makeFolder(folder)
            let place = LanguageModelPlace(path: path)
            for part in try place.parts() {
                // Links are followed: a cache of models often has nothing else.
                let file = URL(filePath: place.file(of: part)).resolvingSymlinksInPath().path
                try FileManager.default.copyItem(atPath: file, toPath: "\(temporary)/\(part)")
            }
            return nil
        case .named(let path):
            return URL(filePath: path).standardizedFileURL.path
        }
    }

    private static func makeFolder(_ path: String) throws {
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
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
