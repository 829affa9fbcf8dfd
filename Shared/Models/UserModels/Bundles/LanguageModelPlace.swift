import Bytes
import Foundation
package import ModelFiles
import Tensors
package import Tokenization

/// Where a bundle's language model lies: a folder, or one GGUF file.
struct LanguageModelPlace {
    /// The folder or the file.
    let path: String
    private let isFolder: Bool

    /// The part that a GGUF file outside the bundle is.
    private static let ggufPart = BundleManifest.languageModelFolder + "model.gguf"
    /// What is read beside the weights.
    private static let textFiles: Set<String> = [
        "config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json", "chat_template.jinja",
        "model.safetensors.index.json",
    ]

    /// A folder or file that exists.
    init(path: String) {
        self.path = path
        // `.` exists only in folders.
        isFolder = FileManager.default.fileExists(atPath: "\(path)/.")
    }

    /// The place that a bundle's manifest names, or its own folder.
    init(of manifest: BundleManifest, in folder: String) {
        let named = manifest.languageModel ?? String(BundleManifest.languageModelFolder.dropLast())
        self.init(path: named.hasPrefix("/") ? named : "\(folder)/\(named)")
    }

    /// The file of a part.
    func file(of part: String) -> String {
        isFolder ? "\(path)/\(part.dropFirst(BundleManifest.languageModelFolder.count))" : path
    }

    /// The files from which a model may be read, as parts of a bundle, sorted.
    func parts() throws -> [String] {
        guard isFolder else { return [Self.ggufPart] }
        return try FileManager.default.contentsOfDirectory(atPath: path)
            .filter { Self.textFiles.contains($0) || $0.hasSuffix(".safetensors") || $0.hasSuffix(".gguf") }
            .filter { !$0.hasPrefix(".") }
            .map { BundleManifest.languageModelFolder + $0 }
            .sorted()
    }
}

extension LanguageModelSource {
    /// Makes the tokenizer that the files have; nil when they have none.
    ///
    /// - Throws: `TokenizerError`.
    package func tokenizer() throws(TokenizerError) -> Tokenizer? {
        switch text.tokenizer {
        case nil: nil
        case .file(let path): try Tokenizer(contentsOf: path)
        case .gguf(let data):
            try Tokenizer(
                gguf: GGUFVocabulary(
                    model: data.model,
                    preTokenizer: data.preTokenizer,
                    tokens: data.tokens,
                    types: data.types.map(\.rawValue),
                    merges: data.merges,
                    beginID: data.beginID,
                    endID: data.endID,
                    addsBegin: data.addsBegin,
                    addsEnd: data.addsEnd,
                    addsSpacePrefix: data.addsSpacePrefix
                )
            )
        }
    }

    /// What can be done about a model without a tokenizer that is read here.
    package var tokenizerAdvice: String {
        switch format {
        case .huggingFace:
            "tokenizer.json, which AutoTokenizer.from_pretrained(\"\(path)\").save_pretrained(\"\(path)\") writes"
        case .gguf: "tokenizer.ggml.tokens: give a file that has its tokenizer"
        }
    }

    /// A hash of the contents of all files that the model is read from, 64 hexadecimal digits.
    ///
    /// - Throws: the system's error for a file that cannot be read.
    package func contentHash() throws -> String {
        let place = LanguageModelPlace(path: path)
        let lines = try place.parts().map { part in
            "\(part) \(SHA256.hexDigest(of: try FileBytes.mapped(place.file(of: part))))\n"
        }
        return String(SHA256.hexDigest(of: Array(lines.joined().utf8)))
    }

    /// Checks that every weight is a number.
    ///
    /// - Throws: `ModelFileError.notFinite` naming the first that is not.
    func checkIsFinite() throws(ModelFileError) {
        for name in tensorNames { try tensor(name).checkIsFinite() }
    }
}
