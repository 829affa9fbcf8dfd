import Datasets
import NeuralNetwork
import ServiceRuntime
import UserModels

/// `trainer train encoder`: trains a user encoder.
enum TrainEncoderCommand {
    private static let training = TrainingCommand(minutes: 15, batchCount: 128, learningRate: 2e-3)
    private static let width = ConfigurationKey<Int>(
        "width",
        default: 64,
        in: 8...8_192,
        help: "Width of an event's vector"
    )
    private static let layers = ConfigurationKey<Int>("layers", default: 2, in: 1...128, help: "Blocks of the encoder")
    private static let heads = ConfigurationKey<Int>("heads", default: 2, in: 1...256, help: "Attention heads")
    private static let length = ConfigurationKey<Int>(
        "length",
        default: 50,
        in: 1...100_000,
        help: "The most events of a timeline"
    )
    private static let dropout = ConfigurationKey<Double>("dropout", default: 0.15, in: 0...0.9, help: "Dropout")
    private static let validationUsers = TrainerKeys.validationUsers(default: 0)
    private static let features = ConfigurationKey<String>(
        "features",
        default: "item,categories,rating,time-gap",
        help: "Which features of an event are read, separated by commas",
        expectation: "some of item, categories, rating, time-gap"
    ) { text in
        let names = text.split(separator: ",").map(String.init)
        return !names.isEmpty && names.allSatisfy(["item", "categories", "rating", "time-gap"].contains)
    }

    static var command: Command {
        training.command(
            "train encoder",
            summary: "Train a user encoder to predict each next event",
            work: "encoder training",
            keys: [
                width, layers, heads, length, dropout, features, TrainerKeys.evaluationProtocol, validationUsers,
            ] + EncoderSettings.keys,
            metric: { _ in "validation_hr_10" },
            train: { try train($0, $1, until: $2) }
        ) { values in
            let reader = values.reader
            return try Settings(
                options: values.options,
                batchCount: values.batchCount,
                width: reader.value(of: width),
                layers: reader.value(of: layers),
                heads: reader.value(of: heads),
                length: reader.value(of: length),
                dropout: Float(reader.value(of: dropout)),
                features: Set(reader.value(of: features).split(separator: ",").map(String.init)),
                evaluationProtocol: reader.value(of: TrainerKeys.evaluationProtocol),
                validationUsers: reader.value(of: validationUsers),
                encoder: EncoderSettings(reader)
            )
        }
    }

    /// The settings of an encoder training.
    struct Settings: Sendable {
        var options: TrainingOptions
        var batchCount = 128
        var width = 64
        var layers = 2
        var heads = 2
        var length = 50
        var dropout: Float = 0.15
        var features: Set<String> = ["item", "categories", "rating", "time-gap"]
        var evaluationProtocol = EvaluationProtocol.Name.leaveOneOut
        /// The number of users for validation; 0 is all.
        var validationUsers = 0
        /// The encoder, and what it learns from.
        var encoder = EncoderSettings()
    }

    /// Trains an encoder and saves it in the run's folder.
    static func train(
        _ dataset: PreparedDataset,
        _ settings: Settings,
        until shutdown: Shutdown
    ) throws -> TrainingOutcome {
        var configuration = settings.encoder.configuration(
            dataset.catalogue,
            features: settings.features,
            width: settings.width
        )
        configuration.layers = settings.layers
        configuration.heads = settings.heads
        configuration.length = settings.length
        configuration.dropout = settings.dropout
        let histories = Histories(
            dataset,
            features: configuration.features,
            evaluationProtocol: EvaluationProtocol(settings.evaluationProtocol, length: settings.length),
            validationUsers: settings.validationUsers
        )
        try histories.checkTrainable()
        var random = SeededRandom(seed: settings.options.seed)
        let encoder = try configuration.makeEncoder(catalogue: dataset.catalogue, using: &random)
        let task = EncoderTask(
            encoder: encoder,
            histories: histories,
            batchCount: settings.batchCount,
            seed: settings.options.seed,
            weightDecay: settings.options.weightDecay
        )
        let run = try RunFolder(
            settings.options,
            kind: "encoder",
            configuration: configuration,
            dataset: dataset,
            evaluationProtocol: settings.evaluationProtocol
        )
        let loop = try TrainingLoop(task: task, options: settings.options, run: run, name: "encoder")
        return try loop.train(until: shutdown)
    }
}

extension TrainingOutcome {
    /// The result of a training run.
    func report(metric: String, dataset: PreparedDataset) -> Report {
        var report = Report()
        report.add("steps", steps)
        report.add("seconds", seconds)
        report.add("targets", targets)
        report.add("targets_per_second", Double(targets) / max(seconds, 1e-9))
        if let bestStep, let bestMetric {
            report.add("best_step", bestStep)
            report.add(metric, bestMetric)
        } else {
            report.addUnknown("best_step")
            report.addUnknown(metric)
        }
        report.add("data_hash", dataset.dataHash)
        report.add("interrupted", isInterrupted)
        report.add("ended_early", endedEarly)
        return report
    }

    /// Ends the process with the exit code for an interruption if there was one.
    func checkInterruption(folder: String) throws {
        guard isInterrupted else { return }
        throw ProcessFailure(
            "interrupted after \(steps) steps; \(folder) has the checkpoint, --resume goes on from it",
            exitCode: .interrupted
        )
    }
}
