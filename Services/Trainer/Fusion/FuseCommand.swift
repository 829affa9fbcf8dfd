import Datasets
import ServiceRuntime
import UserModels

/// `trainer fuse`: learns how much language model and encoder count in a bundle's answers, and writes it into the bundle.
enum FuseCommand {
    private static let users = ConfigurationKey<Int>(
        "users",
        in: 1...Int(Int32.max),
        help: "From how many users is learnt, spread over all; all by default"
    )
    private static let kinds = ConfigurationKey<Int>(
        "pairs",
        default: FusionWeights.classes.upperBound,
        in: FusionWeights.classes,
        help: "How many kinds of branches have weights of their own: 1 is all alike, 3 tells the first branch of a "
            + "title, the second and all others apart"
    )

    static var command: Command {
        Command(
            "fuse",
            summary: "Learn how much language model and encoder count in a bundle's answers, on validation events",
            arguments: [
                TrainerKeys.prepared,
                CommandArgument("bundle", help: "The folder of a model bundle, which gets a new version"),
            ],
            keys: [TrainerKeys.threads, users, kinds],
            work: "learning of the fusion"
        ) { context in
            let reader = context.configuration
            let (prepared, folder) = (try context.required("prepared"), try context.required("bundle"))
            let threads = try reader.value(of: TrainerKeys.threads)
            let limit = try reader.optionalValue(of: users)
            let kinds = try reader.value(of: kinds)
            return { shutdown in
                let dataset = try PreparedDataset(contentsOf: prepared)
                return try fuse(folder, dataset, users: limit, kinds: kinds, threads: threads, until: shutdown)
            }
        }
    }

    /// Learns the weights and writes them into a bundle.
    ///
    /// - Parameters:
    ///   - folder: the bundle.
    ///   - dataset: the data set it was trained on.
    ///   - limit: how many users; nil is all.
    ///   - kinds: how many kinds of branches have weights of their own.
    ///   - threads: the number of threads.
    ///   - shutdown: ends the work early, with nothing written.
    /// - Returns: what was learnt.
    /// - Throws: if bundle or data set cannot be used, do not belong together, or the bundle cannot be written.
    static func fuse(
        _ folder: String,
        _ dataset: PreparedDataset,
        users limit: Int?,
        kinds: Int,
        threads: Int,
        until shutdown: Shutdown
    ) throws -> Report {
        let start = ContinuousClock.now
        let bundle = try ModelBundle.load(folder)
        try bundle.checkItems(of: dataset)
        let histories = Histories(
            dataset,
            features: bundle.encoder.configuration.features,
            validationUsers: limit ?? 0
        )
        try histories.checkEvaluable()
        let learning = FusionLearning(bundle: bundle, histories: histories, threads: threads)
        let observations = try learning.observe(histories.validatedUsers, until: shutdown)
        guard observations.contains(where: { !$0.branches.isEmpty }) else {
            throw ProcessFailure(
                "there is nothing to choose between: no title of the catalogue branches",
                exitCode: .badInput
            )
        }
        let weights = FusionLearning.weights(observations, kinds: kinds)
        let version = try ModelBundle.write(fusion: weights, toBundle: folder)
        var report = Report()
        report.add("split", Split.validation.rawValue)
        report.add("bundle", bundle.version)
        report.add("version", version)
        report.add("data_hash", dataset.dataHash)
        report.add("users", observations.count)
        report.add("branches", observations.reduce(0) { $0 + $1.branches.count })
        for (index, pair) in weights.branches.enumerated() {
            report.add("weight_language_model_\(index + 1)", pair.languageModel)
            report.add("weight_encoder_\(index + 1)", pair.encoder)
        }
        if let late = weights.late { report.add("weight_late_fusion", late) }
        func likelihood(_ weights: FusionWeights) -> Double { FusionLearning.logLikelihood(observations, weights) }
        report.add("log_likelihood_language_model", likelihood(.languageModelAlone))
        report.add("log_likelihood_encoder", likelihood(.encoderAlone))
        report.add("log_likelihood_fused", likelihood(weights))
        report.add("seconds", (ContinuousClock.now - start).inSeconds)
        report.add("commit", SourceCommit.current)
        return report
    }
}
