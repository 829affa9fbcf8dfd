import Foundation
import ModelFiles
import ServiceRuntime
import Tensors
import Tokenization
import UserModels

/// `trainer import-model`: writes a published language model as a Hugging Face folder.
enum ImportModelCommand {
    private static let dtype = ConfigurationKey<WrittenType>(
        "dtype",
        default: .stored,
        help: "Type of the weights: stored (as they are, quantised ones as float32), float32 or bfloat16"
    )

    /// The type of the written weights, as a flag has it.
    enum WrittenType: String, CaseIterable, Sendable, ConfigurationValue {
        case stored
        case float32
        case bfloat16

        var type: LanguageModelSource.WrittenType {
            switch self {
            case .stored: .stored
            case .float32: .float32
            case .bfloat16: .bfloat16
            }
        }
    }

    static var command: Command {
        Command(
            "import-model",
            summary: "Write a published language model, from GGUF or Hugging Face files, as a Hugging Face folder",
            arguments: [
                CommandArgument("model", help: "A GGUF file, or a folder with one or with config.json and safetensors"),
                CommandArgument("out", help: "The folder to write; it must not exist"),
            ],
            keys: [dtype, TrainerKeys.json],
            run: { context in
                let (model, out) = (try context.required("model"), try context.required("out"))
                let type = try context.configuration.value(of: dtype)
                let json = try context.configuration.value(of: TrainerKeys.json)
                try await context.compute("import") { _ in
                    try run(model, out, type.type).print(json: json)
                }
            }
        )
    }

    /// Writes the folder and reads it back.
    static func run(_ model: String, _ out: String, _ type: LanguageModelSource.WrittenType) throws -> Report {
        guard !FileManager.default.fileExists(atPath: out) else {
            throw ConfigurationError.usage("OUT \"\(out)\" exists: name another folder, or remove it first")
        }
        let source = try LanguageModelSource.open(model)
        // Before the weights, which take longer: a tokenizer that cannot be written is an error at once.
        let tokenizer = try tokenizer(source)
        try DurableFolder.write(to: out) { folder in
            try tokenizer?.save(to: "\(folder)/tokenizer.json")
            try source.write(to: folder, as: type)
        }
        let written = try LanguageModelSource.open(out)
        var report = Report()
        report.add("folder", out)
        report.add("format", source.format.rawValue)
        report.add("family", written.configuration.family.rawValue)
        report.add("layers", written.configuration.layers)
        report.add("width", written.configuration.width)
        report.add("parameters", written.configuration.weightShapes.reduce(0) { $0 + $1.shape.reduce(1, *) })
        report.add("tokens", written.configuration.vocabularySize)
        do {
            let isThere = try written.tokenizer() != nil
            report.add("tokenizer", isThere)
            if !isThere { report.add("tokenizer_advice", "give \(written.tokenizerAdvice)") }
        } catch {
            // The weights are imported all the same; a bundle of them will not be written.
            report.add("tokenizer", false)
            report.add("tokenizer_advice", "tokenizer.json cannot be read here: \(error)")
        }
        report.add("chat_template", written.text.chatTemplate != nil)
        return report
    }

    /// The tokenizer of a GGUF file; nil for a folder, whose files are copied, and for a file without tokens.
    private static func tokenizer(_ source: LanguageModelSource) throws -> Tokenizer? {
        guard case .gguf? = source.text.tokenizer else { return nil }
        return try source.tokenizer()
    }
}
