import Datasets
import Foundation
import ModelFiles
import NeuralNetwork
import ServiceRuntime
import Tensors
import Tokenization
import UserModels

/// The folder of a training run: the best checkpoint, the last one with the optimizer's state, and the settings.
///
/// ```
/// run.json           what is trained, on which data, with which settings
/// best/              the checkpoint that validated best
/// last/              the state to resume from
/// training.jsonl     the progress log, for programs
/// tokenizer.json     if the model uses text
/// evaluation-*.json  what `trainer evaluate` found about best/
/// ```
struct RunFolder: Sendable {
    private let folder: String
    private let configuration: any Codable & Sendable

    /// The path of the tokenizer.
    var tokenizerPath: String { folder + "/tokenizer.json" }

    /// Opens the folder of a training run, new or resumed.
    ///
    /// A new run removes what an earlier one left, so that the folder never mixes two runs.
    ///
    /// - Parameters:
    ///   - options: the folder, and whether the run resumes.
    ///   - kind: the kind of training.
    ///   - configuration: the model's configuration, for its checkpoints.
    ///   - dataset: the training data set.
    ///   - evaluationProtocol: the split into training, validation and test events.
    /// - Throws: `ProcessFailure` if the run to resume had other data or settings.
    init(
        _ options: TrainingOptions,
        kind: String,
        configuration: some Codable & Sendable,
        dataset: PreparedDataset,
        evaluationProtocol: EvaluationProtocol.Name = .leaveOneOut
    ) throws {
        folder = options.folder
        self.configuration = configuration
        let description = RunDescription(
            kind: kind,
            dataHash: dataset.dataHash,
            seed: options.seed,
            threads: options.threads,
            precision: options.precision,
            evaluationProtocol: evaluationProtocol,
            settings: options.settings
        )
        if options.resumes, FileManager.default.fileExists(atPath: folder + "/run.json") {
            try description.checkResumes(RunDescription(folder: folder), folder: folder)
            return
        }
        for name in ["best", "last"] where FileManager.default.fileExists(atPath: "\(folder)/\(name)") {
            try FileManager.default.removeItem(atPath: "\(folder)/\(name)")
        }
        removeEvaluations()
        try description.write(to: folder)
    }

    /// Removes the evaluations of a checkpoint that is no longer the best.
    private func removeEvaluations() {
        for name in Self.evaluations(in: folder) { try? FileManager.default.removeItem(atPath: "\(folder)/\(name)") }
    }

    /// The names of the evaluation files in a run's folder, sorted.
    static func evaluations(in folder: String) -> [String] {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
        return names.filter { $0.hasPrefix("evaluation-") && $0.hasSuffix(".json") }.sorted()
    }

    /// Saves the model with the best validation.
    func saveBest(_ parameters: [Parameter], _ state: TrainingState) throws {
        try write(to: folder + "/best", parameters, state, nil)
        removeEvaluations()
    }

    /// Saves everything needed to resume.
    func saveLast(_ parameters: [Parameter], _ learner: TrainingLearner, _ state: TrainingState) throws {
        try write(to: folder + "/last", parameters, state, learner)
    }

    private func write(
        to path: String,
        _ parameters: [Parameter],
        _ state: TrainingState,
        _ learner: TrainingLearner?
    ) throws {
        func write(_ configuration: some Encodable) throws {
            try Checkpoint.write(
                to: path,
                parameters: parameters,
                configuration: configuration,
                training: state,
                optimizer: learner?.optimizer,
                average: learner?.average
            )
        }
        do {
            try write(configuration)
        } catch {
            // A checkpoint is written next to the previous one, which is replaced only when the new one is complete.
            let last = folder + "/last"
            let former = (try? TrainingState(of: Checkpoint(folder: last)))?.step
            let advice =
                former.map { "\(last) still holds that of step \($0): make room and go on with --resume" }
                ?? "there was none before it: make room and train again"
            throw ProcessFailure("the checkpoint of step \(state.step) was not written: \(error); \(advice)")
        }
    }

    /// Reads the last checkpoint into parameters, optimizer and average; nil if there is none yet.
    ///
    /// - Throws: `ProcessFailure` naming the value in which the model's configuration differs, and any error from
    ///   reading.
    func restoreLast(_ parameters: [Parameter], _ learner: TrainingLearner) throws -> TrainingState? {
        let path = folder + "/last"
        guard FileManager.default.fileExists(atPath: path) else { return nil }
        let checkpoint = try Checkpoint(folder: path)
        func checkConfiguration(_ own: some Codable) throws {
            let found = try checkpoint.configuration(as: type(of: own))
            try ConfigurationComparison.check(found, is: own, path: path + "/config.json")
        }
        try checkConfiguration(configuration)
        let state = try TrainingState(of: checkpoint)
        try checkpoint.load(into: parameters)
        try checkpoint.load(into: learner.optimizer)
        if let average = learner.average { try checkpoint.load(into: average) }
        return state
    }
}

// MARK: - Finished runs

extension RunFolder {
    /// The encoder of a training run.
    ///
    /// - Throws: if the folder does not hold an encoder, or has other data.
    static func encoder(_ folder: String, dataset: PreparedDataset) throws -> any UserEncoder {
        try encoder(folder, dataset) { try $0.makeEncoder(catalogue: dataset.catalogue, weights: $1) }
    }

    /// The encoder of a training run, as input for a language model.
    ///
    /// - Throws: if the folder does not hold an autoregressive encoder, or has other data.
    static func autoregressiveEncoder(_ folder: String, dataset: PreparedDataset) throws -> AutoregressiveEncoder {
        try encoder(folder, dataset) { try AutoregressiveEncoder(configuration: $0, weights: $1) }
    }

    private static func encoder<Encoder>(
        _ folder: String,
        _ dataset: PreparedDataset,
        make: (EncoderConfiguration, SafeTensors) throws -> Encoder
    ) throws -> Encoder {
        let checkpoint = try best(of: folder, kind: "encoder", dataset)
        let configuration = try checkpoint.configuration(as: EncoderConfiguration.self)
        return try naming(checkpoint) { try make(configuration, checkpoint.weights()) }
    }

    /// The language model of a training run, with its tokenizer.
    static func languageModel(
        _ folder: String,
        dataset: PreparedDataset
    ) throws -> (LanguageModel, Tokenizer) {
        let checkpoint = try best(of: folder, kind: "language-model", dataset)
        let configuration = try checkpoint.configuration(as: LanguageModelConfiguration.self)
        let model = try naming(checkpoint) {
            try LanguageModel(configuration: configuration, weights: checkpoint.weights())
        }
        return (model, try Tokenizer(contentsOf: folder + "/tokenizer.json"))
    }

    /// The User-LLM of a training run, and the files of its language model for a bundle.
    static func userLLM(
        _ folder: String,
        dataset: PreparedDataset
    ) throws -> (model: UserLanguageModel, files: ModelBundle.LanguageModelFiles) {
        let checkpoint = try best(of: folder, kind: "user-llm", dataset)
        let configuration = try checkpoint.configuration(as: UserLLMConfiguration.self)
        return try naming(checkpoint) {
            if configuration.leavesPublishedWeights, let published = configuration.published {
                let model = try UserLanguageModel(
                    configuration: configuration.shape,
                    lowRank: configuration.lowRank,
                    weights: checkpoint.weights(),
                    languageModel: LanguageModel(published.open())
                )
                guard model.languageModel.lowRank != nil else { return (model, .named(published.path)) }
                return (model, .tuned(model.languageModel.merged(), from: published.path))
            }
            let model = try UserLanguageModel(configuration: configuration.shape, weights: checkpoint.weights())
            if let published = configuration.published {
                _ = try published.open()
                return (model, .tuned(model.languageModel, from: published.path))
            }
            let tokenizer = try Tokenizer(contentsOf: folder + "/tokenizer.json")
            return (model, .trained(model.languageModel, tokenizer))
        }
    }

    /// The name of the chat template that a User-LLM was trained with; nil for the one in the language model's files.
    static func chatTemplate(_ folder: String, dataset: PreparedDataset) throws -> String? {
        let checkpoint = try best(of: folder, kind: "user-llm", dataset)
        return try checkpoint.configuration(as: UserLLMConfiguration.self).published?.chatTemplate
    }

    /// The result of `body` for a checkpoint; an error about a value out of range names the file.
    static func naming<Model>(_ checkpoint: Checkpoint, _ body: () throws -> Model) throws -> Model {
        do {
            return try body()
        } catch let error as ModelConfigurationError {
            throw ProcessFailure("\(checkpoint.folder)/config.json: \(error)", exitCode: .badInput)
        }
    }

    /// The training state at the best checkpoint.
    static func bestState(_ folder: String) throws -> TrainingState {
        try TrainingState(of: Checkpoint(folder: folder + "/best"))
    }

    static func best(of folder: String, kind: String, _ dataset: PreparedDataset) throws -> Checkpoint {
        try RunDescription(folder: folder).check(kind: kind, dataset: dataset, folder: folder)
        return try Checkpoint(folder: folder + "/best")
    }
}
