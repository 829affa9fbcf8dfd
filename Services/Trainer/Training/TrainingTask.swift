import NeuralNetwork
import ServiceRuntime
import Tensors

/// One kind of training: the input of a step, its loss, and how progress is measured.
///
/// The input of a step depends only on the step's number and the seed, so that an interrupted run continues as if
/// nothing had happened.
protocol TrainingTask: Sendable {
    /// One thread's part of a step.
    associatedtype Shard: Sendable

    /// Trainable parameters for the optimizer.
    var groups: [AdamW.Group] { get }
    /// Everything a checkpoint holds; names are unique.
    var parameters: [Parameter] { get }
    /// The name of what `validate` measures.
    var metricName: String { get }

    /// The work of a step, counted from 0, in `count` parts.
    func shards(ofStep step: Int, count: Int) throws -> [Shard]
    /// The number of predictions in a shard.
    func targetCount(_ shard: Shard) -> Int
    /// A shard's part of the loss; the sum over a step's shards is the mean over the step.
    func loss(_ graph: Graph, _ shard: Shard, of shards: [Shard]) -> Variable?
    /// Evaluates the model on the validation data; greater is better.
    func validate(threads: Int) throws -> Double
}

extension AdamW.Group {
    /// Two groups: the parameters that always decay, and the others, which do not.
    static func byDecay(_ parameters: [Parameter], weightDecay: Float) -> [AdamW.Group] {
        [
            AdamW.Group(parameters.filter { $0.decay == .always }, weightDecay: weightDecay),
            AdamW.Group(parameters.filter { $0.decay != .always }),
        ]
    }
}

/// The options of a training run.
struct TrainingOptions: Sendable {
    /// When it ends.
    enum Budget: Sendable, Equatable {
        case steps(Int)
        case time(Duration)

        /// The number of steps, if that is the budget.
        var steps: Int? {
            if case .steps(let count) = self { count } else { nil }
        }
    }

    var budget: Budget
    var learningRate: Float
    var weightDecay: Float
    var warmUpSteps: Int
    var validations: Int
    var threads: Int
    var seed: UInt64
    var precision = Precision.float32
    /// The run's folder.
    var folder: String
    /// Whether an interrupted run resumes.
    var resumes: Bool
    /// Training stops after this many validations in a row without improvement; 0 is never.
    var patience = 0
    /// The decay of the weights' moving average, which is then used in their place; 0 is no average.
    var averageDecay: Float = 0
    /// All settings by key, for `run.json`.
    var settings: [String: String] = [:]
}

extension TrainingOptions {
    /// Reads the options of a training run.
    init(
        _ reader: ConfigurationReader,
        folder: String,
        minutes: ConfigurationKey<Double>,
        learningRate: ConfigurationKey<Double>,
        weightDecay: ConfigurationKey<Double>
    ) throws(ConfigurationError) {
        if let steps = try reader.optionalValue(of: TrainerKeys.steps) {
            budget = .steps(steps)
        } else {
            budget = .time(.seconds(try reader.value(of: minutes) * 60))
        }
        self.learningRate = Float(try reader.value(of: learningRate))
        self.weightDecay = Float(try reader.value(of: weightDecay))
        warmUpSteps = try reader.value(of: TrainerKeys.warmUp)
        validations = try reader.value(of: TrainerKeys.validations)
        threads = try reader.value(of: TrainerKeys.threads)
        seed = try reader.value(of: TrainerKeys.seed)
        precision = try TrainerKeys.chosenPrecision(reader)
        self.folder = folder
        resumes = try reader.value(of: TrainerKeys.resume)
        patience = try reader.value(of: TrainerKeys.patience)
        averageDecay = Float(try reader.value(of: TrainerKeys.average))
        settings = Self.settings(reader)
    }

    /// Every setting of a training run by key; steps and minutes exclude each other, and only the one that applies is
    /// there.
    static func settings(_ reader: ConfigurationReader) -> [String: String] {
        var settings = reader.effectiveValues
        let elsewhere = [TrainerKeys.seed.name, TrainerKeys.threads.name, TrainerKeys.evaluationProtocol.name]
        let passing = [TrainerKeys.json.name, TrainerKeys.resume.name]
        for name in elsewhere + passing + CommonKeys.names { settings[name] = nil }
        if settings[TrainerKeys.steps.name] != nil { settings["minutes"] = nil }
        return settings
    }
}

/// How a training ended.
struct TrainingOutcome: Sendable {
    var steps: Int
    var seconds: Double
    var targets: Int
    /// The step with the best validation; nil if nothing was validated yet.
    var bestStep: Int?
    /// The metric of that validation.
    var bestMetric: Double?
    /// Whether it was asked to stop before its budget was used up.
    var isInterrupted: Bool
    /// Whether it ended because validations no longer improved.
    var endedEarly: Bool
}
