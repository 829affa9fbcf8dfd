import Datasets
import Foundation
import LanguageEngine
import ModelFiles
import ServiceRuntime
import UserModels

/// `trainer efficiency`: what a user's context costs as text and as an embedding.
enum EfficiencyCommand {
    private static let lengths = ConfigurationKey<String>(
        "lengths",
        default: "50,100,200,1000,2000",
        help: "Lengths of timelines, in events, separated by commas; measured on users with at least so many"
    )
    private static let users = ConfigurationKey<Int>("users", default: 4, in: 1...10_000, help: "Users of each length")
    private static let rounds = ConfigurationKey<Int>(
        "rounds",
        default: 3,
        in: 1...10_000,
        help: "How often each user is measured; the table has medians"
    )
    private static let weights = ConfigurationKey<ConfigurationChoice<WeightFormat>>(
        "weights",
        default: ConfigurationChoice(.int8),
        help: "How the language model's weights are kept"
    )
    private static let cache = ConfigurationKey<ConfigurationChoice<CacheFormat>>(
        "cache-format",
        default: ConfigurationChoice(.bfloat16),
        help: "How keys and values are kept while it is measured"
    )
    private static let llama = ConfigurationKey<String>(
        "llama-cpp",
        help: "llama.cpp's folder with llama-bench, to measure the text there too"
    )
    private static let llamaModels = ConfigurationKey<String>(
        "llama-models",
        help: "The language model in llama.cpp's formats: GGUF files separated by commas, of which the fastest counts; "
            + "by default the bundle's own file"
    )
    private static let plot = ConfigurationKey<String>("plot", help: "The SVG file to draw the curves into")

    static var command: Command {
        Command(
            "efficiency",
            summary: "Measure what a user's context costs as text and as an embedding",
            arguments: [
                TrainerKeys.prepared,
                CommandArgument("bundle", help: "The folder of a model bundle; its shape counts, not its accuracy"),
            ],
            keys: [
                lengths, users, rounds, weights, cache, llama, llamaModels, plot, TrainerKeys.threads, TrainerKeys.seed,
                TrainerKeys.json,
            ],
            run: { context in
                let reader = context.configuration
                let (prepared, folder) = (try context.required("prepared"), try context.required("bundle"))
                var settings = EfficiencySettings()
                settings.lengths = try numbers(reader.value(of: lengths))
                settings.users = try reader.value(of: users)
                settings.rounds = try reader.value(of: rounds)
                settings.threads = try reader.value(of: TrainerKeys.threads)
                settings.weights = try reader.value(of: weights).choice
                settings.cacheFormat = try reader.value(of: cache).choice
                settings.seed = try reader.value(of: TrainerKeys.seed)
                let peer = try reader.optionalValue(of: llama)
                let models = try reader.optionalValue(of: llamaModels)
                if models != nil, peer == nil {
                    throw ConfigurationError.conflict("--llama-models changes nothing without --llama-cpp: add that")
                }
                let plot = try reader.optionalValue(of: plot)
                let json = try reader.value(of: TrainerKeys.json)
                let wanted = settings
                try await context.compute("efficiency") { shutdown in
                    var settings = wanted
                    let bundle = try ModelBundle.load(folder)
                    settings.llamaBench = try peer.map {
                        try llamaBench($0, models: models, bundle, threads: settings.threads)
                    }
                    let start = ContinuousClock.now
                    let table = try measure(bundle, PreparedDataset(contentsOf: prepared), settings, until: shutdown)
                    if let plot { try EfficiencyPlot(table: table).write(to: plot) }
                    try show(table, seconds: (ContinuousClock.now - start).inSeconds, json: json)
                }
            }
        )
    }

    /// Measures and says on what.
    ///
    /// - Throws: `ProcessFailure` naming what cannot be measured.
    static func measure(
        _ bundle: ModelBundle,
        _ dataset: PreparedDataset,
        _ settings: EfficiencySettings,
        until shutdown: Shutdown
    ) throws -> EfficiencyTable {
        try bundle.checkItems(of: dataset)
        var measurement = try EfficiencyMeasurement(bundle, dataset, settings, until: shutdown)
        var table = try measurement.run()
        let shape = bundle.configuration
        let reach = shape.adapter.contextFrom.rawValue
        let joined = shape.adapter.crossAttentionBlocks
        table.settings = [
            ("bundle", bundle.version),
            ("data hash", dataset.dataHash),
            ("language model", URL(fileURLWithPath: bundle.languageModel.path).lastPathComponent),
            (
                "encoder",
                "\(shape.encoder.block.rawValue), \(shape.encoder.layers) layers, width \(shape.encoder.width); made at "
                    + "random for each length, so accuracy is not measured here"
            ),
            (
                "adapter",
                "\(shape.adapter.kind.rawValue), \(shape.adapter.perceiver.latents) latents, before \(joined.count) of "
                    + "\(shape.languageModel.layers) blocks, context from the \(reach); made at random with open gates"
            ),
            ("weights", settings.weights.rawValue),
            ("cache format", settings.cacheFormat.rawValue),
            ("threads", "\(settings.threads); a timeline is encoded on one"),
            ("rounds", "\(settings.rounds), medians"),
            ("seed", "\(settings.seed)"),
            ("commit", SourceCommit.current),
        ]
        if let bench = settings.llamaBench {
            let names = bench.models.map { URL(fileURLWithPath: $0).lastPathComponent }.joined(separator: ", ")
            table.settings.append(("llama cpp", "the best of \(names), answers after an empty context"))
        }
        return table
    }

    private static func show(_ table: EfficiencyTable, seconds: Double, json: Bool) throws {
        guard json else { return print(table.text() + "\nseconds: \(seconds.formatted(digits: 1))") }
        var report = Report()
        table.add(to: &report)
        report.add("seconds", seconds)
        try report.print(json: true)
    }

    /// The numbers of a list.
    ///
    /// - Throws: `ConfigurationError` naming what is no length of a timeline, or comes twice.
    static func numbers(_ text: String) throws(ConfigurationError) -> [Int] {
        let range = 1...65_536
        var numbers: [Int] = []
        for part in text.split(separator: ",", omittingEmptySubsequences: false) {
            let word = part.trimmingCharacters(in: .whitespaces)
            guard let number = Int(word), range.contains(number) else {
                throw .usage("lengths: \"\(word)\" is not allowed: expected numbers from 1 to \(range.upperBound)")
            }
            guard !numbers.contains(number) else { throw .usage("lengths: \(number) is given twice") }
            numbers.append(number)
        }
        return numbers
    }

    private static func llamaBench(
        _ folder: String,
        models: String?,
        _ bundle: ModelBundle,
        threads: Int
    ) throws -> LlamaBench {
        let own = bundle.languageModel.path
        let names = models?.split(separator: ",").map { $0.trimmingCharacters(in: .whitespaces) }
        if names == nil, !own.hasSuffix(".gguf") {
            throw ProcessFailure(
                "llama.cpp reads GGUF files and the bundle's language model is \(own): name some with --llama-models",
                exitCode: .badInput
            )
        }
        return try LlamaBench(folder: folder, models: names ?? [own], threads: threads)
    }
}
