import NeuralNetwork
import ServiceRuntime
import Tensors

/// One kind of training: what a step works on, its loss, and how progress is judged.
///
/// What a step works on is a function of the step's number and the seed alone, so that an interrupted training continues
/// as if nothing had happened.
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
    /// How many predictions are learnt from in a shard.
    func targetCount(_ shard: Shard) -> Int
    /// A shard's part of the loss; the sum over a step's shards is the mean over the step.
    func loss(_ graph: Graph, _ shard: Shard, of shards: [Shard]) -> Variable?
    /// Measures the model on what validates; greater is better.
    func validate(threads: Int) throws -> Double
}

/// How a training goes.
struct TrainingOptions: Sendable {
    /// When it ends.
    enum Budget: Sendable, Equatable {
        case steps(Int)
        case time(Duration)

        /// The number of steps, where that decides.
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
    /// Whether an interrupted training goes on.
    var resumes: Bool
    /// The training ends after so many validations in a row without improvement; 0 is never.
    var patience = 0
    /// The share that a step keeps of the weights' moving average, which is then what counts; 0 is no average.
    var averageDecay: Float = 0
    /// All settings by their keys, for `run.json`.
    var settings: [String: String] = [:]
}

extension TrainingOptions {
    /// Reads the settings of a training.
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

    /// Every setting of a training by its key; which of steps and minutes decides is seen by the other missing.
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
    /// The step that validated best; nil when nothing was validated yet.
    var bestStep: Int?
    /// What the validation found then.
    var bestMetric: Double?
    /// Whether it was told to stop before its budget was used up.
    var isInterrupted: Bool
    /// Whether it ended because validations no longer improved.
    var endedEarly: Bool
}
