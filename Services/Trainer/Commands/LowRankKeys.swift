import ServiceRuntime
import UserModels

/// The settings of a language model's low-rank updates (LoRA).
enum LowRankKeys {
    private static let rank = ConfigurationKey<Int>("rank", default: 8, in: 1...1_024, help: "Rank of an update")
    private static let alpha = ConfigurationKey<Double>(
        "alpha",
        default: 16,
        in: 1e-6...1e6,
        help: "An update counts this divided by its rank"
    )
    private static let layers = ConfigurationKey<String>(
        "lora-layers",
        default: LanguageModel.LinearLayer.allCases.map(\.rawValue).joined(separator: ","),
        help: "The linear layers that have an update, separated by commas",
        expectation: "some of " + LanguageModel.LinearLayer.allCases.map(\.rawValue).joined(separator: ",")
    ) { chosenLayers($0) != nil }

    static let all: [any AnyConfigurationKey] = [rank, alpha, layers]

    /// Reads the settings.
    static func configuration(_ reader: ConfigurationReader) throws(ConfigurationError) -> LowRankAdapter.Configuration
    {
        var configuration = LowRankAdapter.Configuration()
        configuration.rank = try reader.value(of: rank)
        configuration.alpha = Float(try reader.value(of: alpha))
        configuration.layers = chosenLayers(try reader.value(of: layers)) ?? configuration.layers
        return configuration
    }

    /// Refuses settings of updates where none are trained.
    ///
    /// - Parameters:
    ///   - reader: what was set.
    ///   - strategy: what is trained, other than `lora`; nil for a default that is not.
    /// - Throws: `ConfigurationError` naming the first that was set.
    static func refuse(_ reader: ConfigurationReader, strategy: String?) throws(ConfigurationError) {
        let chosen = strategy.map { "--strategy is \($0)" } ?? "--strategy is not set"
        for key in all where reader.isSet(key) {
            let value = reader.shownValues[key.name] ?? ""
            throw .conflict("--\(key.name) \(value) is for --strategy lora, and \(chosen): leave it out, or take lora")
        }
    }

    private static func chosenLayers(_ text: String) -> [LanguageModel.LinearLayer]? {
        let names = text.split(separator: ",", omittingEmptySubsequences: false)
        let layers = names.compactMap { LanguageModel.LinearLayer(rawValue: String($0)) }
        return layers.count == names.count && Set(layers).count == layers.count ? layers : nil
    }
}
