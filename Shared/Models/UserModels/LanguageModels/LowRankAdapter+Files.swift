import Foundation
import JSON
public import ModelFiles
import NeuralNetwork
import Tensors

/// Adapters in the format of PEFT: a folder with `adapter_config.json` and `adapter_model.safetensors`.
///
/// - Source: huggingface/peft, "Checkpoint format" of its developer guides, and `tuners/lora/config.py`.
extension LowRankAdapter {
    private static let configurationFile = "adapter_config.json"
    private static let weightsFile = "adapter_model.safetensors"

    /// Writes the adapter as a folder that `PeftModel.from_pretrained` reads, replacing one that is there.
    ///
    /// - Parameters:
    ///   - folder: the folder.
    ///   - name: the path or the name of the base model, which PEFT's automatic classes open; nil for none.
    /// - Throws: `SafeTensorsError` or `DurableWriteError` when it cannot be written.
    public func save(to folder: String, base name: String? = nil) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        let text = try encoder.encode(PEFTConfiguration(configuration, base: name))
        try DurableFolder.write(to: folder) { temporary in
            try text.write(to: URL(filePath: "\(temporary)/\(Self.configurationFile)"))
            // As PEFT writes it.
            try SafeTensors.write(
                parameters.map(\.named),
                metadata: ["format": "pt"],
                to: "\(temporary)/\(Self.weightsFile)"
            )
        }
    }

    /// Reads an adapter that PEFT or `save(to:base:)` wrote.
    ///
    /// - Parameters:
    ///   - folder: the folder.
    ///   - base: the shape of the language model it is for.
    /// - Throws: `ModelFileError` for a folder that is none or a key that is not supported, naming key and value;
    ///   `SafeTensorsError` naming a weight that is missing, of another shape (that of another base) or not finite;
    ///   `ModelConfigurationError` for a base that is out of range.
    public convenience init(contentsOf folder: String, base: LanguageModelConfiguration) throws {
        let path = "\(folder)/\(Self.configurationFile)"
        let configuration: Configuration
        do {
            let bytes = try FileBytes.contents(path, atMost: 1 << 20)
            configuration = try PEFTConfiguration.configuration(of: JSONValue(parsing: Array(bytes)))
        } catch let error as FileBytes.Failure {
            throw ModelFileError.unreadable(path: path, reason: error.reason)
        } catch let error as JSONError {
            throw ModelFileError.malformed(path: path, reason: error.description)
        } catch let error as ModelConfigurationError {
            throw ModelFileError.unsupported(path: path, key: error.key, value: error.value, expected: error.expected)
        }
        let weights = try SafeTensors(path: "\(folder)/\(Self.weightsFile)")
        try self.init(configuration: configuration, base: base, weights: weights)
    }
}

/// The keys of `adapter_config.json` that we write, and what we read of it.
private struct PEFTConfiguration: Encodable {
    let peft_type = "LORA"
    let task_type = "CAUSAL_LM"
    let base_model_name_or_path: String?
    let r: Int
    let lora_alpha: Float
    let lora_dropout = 0.0
    let target_modules: [String]
    let bias = "none"
    let fan_in_fan_out = false
    let inference_mode = true
    let init_lora_weights = true

    init(_ configuration: LowRankAdapter.Configuration, base: String?) {
        base_model_name_or_path = base
        r = configuration.rank
        lora_alpha = configuration.alpha
        target_modules = configuration.layers.map(\.rawValue)
    }

    /// Keys that change nothing of what a trained adapter computes.
    private static let ignored: Set<String> = [
        "task_type", "base_model_name_or_path", "revision", "auto_mapping", "inference_mode", "init_lora_weights",
        "lora_dropout", "peft_version", "megatron_core", "qalora_group_size", "runtime_config",
    ]

    /// The settings that a file asks for.
    ///
    /// A key that is not known here may change what is computed, so it must be off: null, false or empty.
    static func configuration(of json: JSONValue) throws(ModelConfigurationError) -> LowRankAdapter.Configuration {
        guard case .object(let object) = json else {
            throw ModelConfigurationError(key: "adapter_config.json", value: json.shown, expected: "an object")
        }
        func value(_ key: String) throws(ModelConfigurationError) -> JSONValue {
            guard let value = object[key] else {
                throw ModelConfigurationError(key: key, value: "missing", expected: "a value")
            }
            return value
        }
        func number(_ key: String) throws(ModelConfigurationError) -> JSONNumberText {
            let found = try value(key)
            guard case .number(let number) = found else {
                throw ModelConfigurationError(key: key, value: found.shown, expected: "a number")
            }
            return number
        }
        let type = try value("peft_type")
        try require("peft_type", type.shown, type.isText("LORA"), "LORA")
        var configuration = LowRankAdapter.Configuration()
        let (rank, alpha) = (try number("r"), try number("lora_alpha"))
        guard let whole = rank.integer, (1...1_024).contains(whole) else {
            throw ModelConfigurationError(key: "r", value: rank.text, expected: "from 1 to 1024")
        }
        guard let real = alpha.float, ModelRange.factor.contains(real) else {
            throw ModelConfigurationError(key: "lora_alpha", value: alpha.text, expected: "from 1e-06 to 1000000.0")
        }
        (configuration.rank, configuration.alpha) = (Int(whole), real)
        configuration.layers = try layers(value("target_modules"))
        let read: Set = ["peft_type", "r", "lora_alpha", "target_modules", "bias"]
        if let bias = object["bias"] { try require("bias", bias.shown, bias.isText("none"), "none") }
        for (key, value) in object.fields where !read.contains(key) && !ignored.contains(key) {
            try require(key, value.shown, value.isOff, "off: null, false or empty; adapters that need it are not read")
        }
        return configuration
    }

    private static func layers(
        _ value: JSONValue
    ) throws(ModelConfigurationError) -> [LanguageModel.LinearLayer] {
        let expected = "a list of " + LanguageModel.LinearLayer.allCases.map(\.rawValue).joined(separator: ", ")
        guard case .array(let names) = value, !names.isEmpty else {
            throw ModelConfigurationError(key: "target_modules", value: value.shown, expected: expected)
        }
        var layers: Set<LanguageModel.LinearLayer> = []
        for name in names {
            guard case .string(let text) = name, let layer = LanguageModel.LinearLayer(rawValue: text),
                layers.insert(layer).inserted
            else { throw ModelConfigurationError(key: "target_modules", value: name.shown, expected: expected) }
        }
        // PEFT writes a set, in any order.
        return LanguageModel.LinearLayer.allCases.filter(layers.contains)
    }
}

extension JSONValue {
    fileprivate func isText(_ expected: String) -> Bool {
        if case .string(expected) = self { true } else { false }
    }

    /// Whether a setting of this value asks for nothing.
    fileprivate var isOff: Bool {
        switch self {
        case .null, .bool(false): true
        case .array(let elements): elements.isEmpty
        case .object(let object): object.fields.isEmpty
        case .bool, .number, .string: false
        }
    }
}
