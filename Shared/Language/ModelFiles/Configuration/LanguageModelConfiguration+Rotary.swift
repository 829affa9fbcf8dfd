/// Rotary positions in `config.json`: `rope_theta` and `rope_scaling` (transformers 4), or `rope_parameters` (5).
///
/// Plain positions and Llama 3's scaling are read. Anything else is rejected: wrong results are worse than an error.
extension LanguageModelConfiguration {
    /// What an object of parameters says; nil where it is silent.
    private struct Parameters {
        var type: String?
        var numbers: [String: Float] = [:]
        var originalLength: Int?
        /// The names it has, whose effect depends on the type.
        var names: [String] = []

        var scaling: RotaryScaling?
    }

    private static let llama3Keys = [
        "factor", "high_freq_factor", "low_freq_factor", "original_max_position_embeddings",
    ]

    /// The base and the scaling, wherever the file has them.
    static func rotary(
        _ values: KeyedDecodingContainer<Key>
    ) throws -> (base: Float, scaling: RotaryScaling) {
        let top = try values.decodeIfPresent(Float.self, forKey: .rotaryBase)
        var bases = top.map { [("rope_theta", $0)] } ?? []
        var scalings: [(String, RotaryScaling)] = []
        for key in [Key.rotaryParameters, .rotaryScaling] {
            guard let parameters = try parameters(values, key) else { continue }
            if let base = parameters.numbers["rope_theta"] { bases.append(("\(key.rawValue).rope_theta", base)) }
            if let scaling = parameters.scaling { scalings.append((key.rawValue, scaling)) }
        }
        let share = try values.decodeIfPresent(Float.self, forKey: .rotaryShare) ?? 1
        try require("partial_rotary_factor", share, share == 1, "1: positions turn whole heads only")
        guard let (name, base) = bases.first else {
            throw ModelConfigurationError(
                key: "rope_theta",
                value: "missing",
                expected: "the base the model was trained with, here or in rope_parameters "
                    + "(transformers takes 10000 for a file without one: write that if it is so)"
            )
        }
        for (other, otherBase) in bases.dropFirst() {
            try require(other, otherBase, otherBase == base, "the same as \(name), which is \(base)")
        }
        guard let (first, scaling) = scalings.first else { return (base, .none) }
        for (other, otherScaling) in scalings.dropFirst() {
            try require(other, "another scaling", otherScaling == scaling, "the same as \(first)")
        }
        return (base, scaling)
    }

    private static func parameters(_ values: KeyedDecodingContainer<Key>, _ key: Key) throws -> Parameters? {
        guard values.contains(key), try !values.decodeNil(forKey: key) else { return nil }
        let object = try values.nestedContainer(keyedBy: NamedKey.self, forKey: key)
        var parameters = Parameters()
        for name in object.allKeys {
            if try object.decodeNil(forKey: name) { continue }
            let path = "\(key.rawValue).\(name.stringValue)"
            switch name.stringValue {
            case "rope_theta": parameters.numbers["rope_theta"] = try object.decode(Float.self, forKey: name)
            case "rope_type", "type":
                let type = try object.decode(String.self, forKey: name)
                try require(path, type, ["default", "llama3"].contains(type), "default or llama3")
                try require(path, type, (parameters.type ?? type) == type, "the same as rope_type")
                parameters.type = type
            case "partial_rotary_factor":
                let share = try object.decode(Float.self, forKey: name)
                try require(path, share, share == 1, "1: positions turn whole heads only")
            case "original_max_position_embeddings":
                parameters.originalLength = try object.decode(Int.self, forKey: name)
                parameters.names.append(name.stringValue)
            case let known where llama3Keys.contains(known):
                parameters.numbers[known] = try object.decode(Float.self, forKey: name)
                parameters.names.append(known)
            default:
                throw ModelConfigurationError(
                    key: path,
                    value: "set",
                    expected: "rope_theta, rope_type and the numbers of rope_type llama3 alone"
                )
            }
        }
        parameters.scaling = try scaling(parameters, key.rawValue)
        return parameters
    }

    private static func scaling(_ parameters: Parameters, _ key: String) throws -> RotaryScaling? {
        guard parameters.type == "llama3" else {
            if let name = parameters.names.min() {
                throw ModelConfigurationError(
                    key: "\(key).\(name)",
                    value: "set",
                    expected: "null where rope_type is \(parameters.type ?? "missing"), or rope_type llama3"
                )
            }
            return parameters.type == nil ? nil : RotaryScaling.none
        }
        for name in llama3Keys where !parameters.names.contains(name) {
            throw ModelConfigurationError(key: "\(key).\(name)", value: "missing", expected: "a number for llama3")
        }
        return .llama3(
            RotaryScaling.Llama3(
                factor: parameters.numbers["factor"] ?? 1,
                lowFrequencyFactor: parameters.numbers["low_freq_factor"] ?? 1,
                highFrequencyFactor: parameters.numbers["high_freq_factor"] ?? 1,
                originalLength: parameters.originalLength ?? 1
            )
        )
    }
}
