import Datasets
import Foundation
import Files
import ServiceRuntime
import Tensors

/// Settings that several commands share.
enum TrainerKeys {
    static let prepared = CommandArgument("prepared", help: "A prepared data set")

    static let seed = ConfigurationKey<UInt64>("seed", default: 1, help: "Seed of everything that is drawn")
    static let threads = ConfigurationKey<Int>(
        "threads",
        default: ProcessInfo.processInfo.activeProcessorCount,
        in: 1...256,
        help: "Threads; the same seed and threads give the same numbers"
    )
    static let json = ConfigurationKey<Bool>("json", default: false, help: "Print the result as one JSON object")
    static let steps = ConfigurationKey<Int>(
        "steps",
        in: 1...100_000_000,
        help: "How many steps to train; without it --minutes decides"
    )
    static let resume = ConfigurationKey<Bool>(
        "resume",
        default: false,
        help: "Go on with an interrupted training of this folder"
    )
    static let skipBadLines = ConfigurationKey<Bool>(
        "skip-bad-lines",
        default: false,
        help: "Leave bad lines out and count them"
    )
    static let warmUp = ConfigurationKey<Int>("warm-up", default: 200, in: 0...1_000_000, help: "Steps of warm-up")
    static let validations = ConfigurationKey<Int>(
        "validations",
        default: 20,
        in: 1...10_000,
        help: "How often the model is validated while it trains"
    )
    static let patience = ConfigurationKey<Int>(
        "patience",
        default: 0,
        in: 0...10_000,
        help: "Ends the training after so many validations in a row without improvement; 0 is never"
    )
    static let average = ConfigurationKey<Double>(
        "average",
        default: 0,
        in: 0...0.999999,
        help: "Validate and keep a moving average of the weights, of which a step keeps this share; 0 is none"
    )
    static let evaluationProtocol = ConfigurationKey<EvaluationProtocol.Name>(
        "protocol",
        default: .leaveOneOut,
        help: "What trains: leave-one-out (all but each user's last two events) or window (the paper's: only users "
            + "with at least --length + 2 events, every window of theirs)"
    )

    static func validationUsers(default count: Int) -> ConfigurationKey<Int> {
        ConfigurationKey(
            "validation-users",
            default: count,
            in: 0...Int(Int32.max),
            help: "On how many users the model is validated while it trains, spread over all; 0 is all of them"
        )
    }

    static func minutes(_ name: String = "minutes", default minutes: Double) -> ConfigurationKey<Double> {
        ConfigurationKey(name, default: minutes, in: 0.01...100_000, unit: "minutes", help: "How long to train")
    }

    static let vocabulary = ConfigurationKey<Int>(
        "vocabulary",
        default: 3_000,
        in: 1...1_000_000,
        help: "Tokens at most"
    )

    static let precision = ConfigurationKey<String>(
        "precision",
        default: "auto",
        help: "Factors of matrix products, auto being bfloat16 where the processor multiplies it fast",
        expectation: "auto, bfloat16 or float32"
    ) { $0 == "auto" || Precision(rawValue: $0) != nil }

    /// The precision that was requested, or the fastest on this processor.
    static func chosenPrecision(_ reader: ConfigurationReader) throws(ConfigurationError) -> Precision {
        Precision(rawValue: try reader.value(of: precision)) ?? .fastest
    }

    /// Settings of every training command.
    static let common: [any AnyConfigurationKey] = [
        seed, threads, json, steps, resume, warmUp, validations, patience, precision, average,
    ]
}

extension ProcessContext {
    /// A required positional argument.
    func required(_ name: String) throws -> String {
        guard let value = argument(name) else { throw ConfigurationError.usage("\(name.uppercased()) is missing") }
        return value
    }

    /// Runs blocking work on its own thread, away from the threads that wait for signals.
    ///
    /// When the process is asked to stop, reading of files stops too.
    func compute(_ name: String, _ body: @escaping @Sendable (Shutdown) throws -> Void) async throws {
        try await run(name) { shutdown in
            try await ComputingThread().run {
                do {
                    try InputFile.$stop.withValue(ReadingStop { shutdown.isRequested }) { try body(shutdown) }
                } catch let error as DatasetError where shutdown.isRequested {
                    throw ProcessFailure("stopped: \(error)", exitCode: .interrupted)
                }
            }
        }
    }
}
