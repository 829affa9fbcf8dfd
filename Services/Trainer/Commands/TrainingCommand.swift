import Datasets
import ServiceRuntime

/// What every training on a prepared data set has in common: its keys, with defaults of its own, and its command.
struct TrainingCommand: Sendable {
    private let minutes: ConfigurationKey<Double>
    private let batch: ConfigurationKey<Int>
    private let learningRate: ConfigurationKey<Double>
    private let weightDecay = ConfigurationKey<Double>(
        "weight-decay",
        default: 0.01,
        in: 0...10,
        help: "Decay of the weights of products"
    )

    /// Declares the keys.
    ///
    /// - Parameters:
    ///   - minutes: how long it trains by default.
    ///   - batchCount: windows or texts in a step by default.
    ///   - learningRate: the learning rate by default.
    init(minutes: Double, batchCount: Int, learningRate: Double) {
        self.minutes = TrainerKeys.minutes(default: minutes)
        batch = ConfigurationKey("batch", default: batchCount, in: 1...100_000, help: "Windows or texts in a step")
        self.learningRate = ConfigurationKey(
            "learning-rate",
            default: learningRate,
            in: 0...1,
            help: "Learning rate after the warm-up"
        )
    }

    /// The settings of a run that are read from these keys.
    struct Values {
        let reader: ConfigurationReader
        let options: TrainingOptions
        let batchCount: Int
    }

    /// A command that trains, and reports how it went.
    ///
    /// - Parameters:
    ///   - name: as typed.
    ///   - summary: one line for `--help`.
    ///   - work: what the process does, in messages.
    ///   - keys: the keys that only this training has.
    ///   - metric: what the best validation is called in the report, by the settings.
    ///   - train: trains with the settings.
    ///   - settings: reads the settings.
    /// - Returns: the command.
    func command<Settings: Sendable>(
        _ name: String,
        summary: String,
        work: String,
        keys: [any AnyConfigurationKey],
        metric: @escaping @Sendable (Settings) -> String,
        train: @escaping @Sendable (PreparedDataset, Settings, Shutdown) throws -> TrainingOutcome,
        settings: @escaping @Sendable (Values) throws -> Settings
    ) -> Command {
        Command(
            name,
            summary: summary,
            arguments: [TrainerKeys.prepared, CommandArgument("run", help: "The folder of this training")],
            keys: TrainerKeys.common + [minutes, batch, learningRate, weightDecay] + keys,
            run: { context in
                let (prepared, folder) = (try context.required("prepared"), try context.required("run"))
                let reader = context.configuration
                let settings = try settings(
                    Values(
                        reader: reader,
                        options: TrainingOptions(
                            reader,
                            folder: folder,
                            minutes: minutes,
                            learningRate: learningRate,
                            weightDecay: weightDecay
                        ),
                        batchCount: reader.value(of: batch)
                    )
                )
                let json = try reader.value(of: TrainerKeys.json)
                try await context.compute(work) { shutdown in
                    let dataset = try PreparedDataset(contentsOf: prepared)
                    let outcome = try train(dataset, settings, shutdown)
                    try outcome.report(metric: metric(settings), dataset: dataset).print(json: json)
                    try outcome.checkInterruption(folder: folder)
                }
            }
        )
    }
}
