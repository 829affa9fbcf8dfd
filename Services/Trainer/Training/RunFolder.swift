import Datasets
import Foundation
import NeuralNetwork
import ServiceRuntime
import Tokenization
import UserModels

/// The folder of a training: the best checkpoint, the last one with the optimizer's state, and what was asked for.
///
/// ```
/// run.json         what is trained, on which data, with which seed
/// best/            the checkpoint that validated best
/// last/            where the training is, to go on from
/// training.jsonl   how it went, for programs
/// tokenizer.json   where text takes part
/// ```
struct RunFolder: Sendable {
    /// What `run.json` says.
    struct Description: Codable, Sendable, Equatable {
        var kind: String
        var dataHash: String
        var seed: UInt64
        var threads: Int
    }

    private let folder: String
    private let configuration: any Encodable & Sendable

    /// The tokenizer's place.
    var tokenizerPath: String { folder + "/tokenizer.json" }

    /// Opens the folder of a training, new or to go on with.
    ///
    /// - Throws: `ProcessFailure` when a training to go on with was of other data, seed or threads.
    init(
        _ options: TrainingOptions,
        kind: String,
        configuration: some Encodable & Sendable,
        dataset: PreparedDataset
    ) throws {
        folder = options.folder
        self.configuration = configuration
        let description = Description(
            kind: kind,
            dataHash: dataset.dataHash,
            seed: options.seed,
            threads: options.threads
        )
        let path = folder + "/run.json"
        if options.resumes, let data = FileManager.default.contents(atPath: path) {
            let found = try JSONDecoder().decode(Description.self, from: data)
            guard found == description else {
                throw ProcessFailure(
                    "\(path) is of \(found), not of \(description): resume with the same data, seed and threads",
                    exitCode: .badInput
                )
            }
            return
        }
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
        try encoder.encode(description).write(to: URL(fileURLWithPath: path), options: .atomic)
    }

    /// Keeps the model that validated best.
    func saveBest(_ parameters: [Parameter], _ state: TrainingState) throws {
        try write(to: folder + "/best", parameters, state, nil)
    }

    /// Keeps all that is needed to go on.
    func saveLast(_ parameters: [Parameter], _ optimizer: AdamW, _ state: TrainingState) throws {
        try write(to: folder + "/last", parameters, state, optimizer)
    }

    private func write(
        to path: String,
        _ parameters: [Parameter],
        _ state: TrainingState,
        _ optimizer: AdamW?
    ) throws {
        func write(_ configuration: some Encodable) throws {
            try Checkpoint.write(
                to: path,
                parameters: parameters,
                configuration: configuration,
                training: state,
                optimizer: optimizer
            )
        }
        try write(configuration)
    }

    /// Reads the last checkpoint into parameters and optimizer; nil when there is none yet.
    func restoreLast(_ parameters: [Parameter], _ optimizer: AdamW) throws -> TrainingState? {
        let path = folder + "/last"
        guard FileManager.default.fileExists(atPath: path) else { return nil }
        let checkpoint = try Checkpoint(folder: path)
        let state = try checkpoint.training(as: TrainingState.self)
        try checkpoint.load(into: parameters)
        try checkpoint.load(into: optimizer)
        return state
    }
}

// MARK: - Finished trainings

extension RunFolder {
    /// The encoder that a training left.
    ///
    /// - Throws: when the folder is not of an encoder, or of other data.
    static func encoder(_ folder: String, dataset: PreparedDataset) throws -> AutoregressiveEncoder {
        let checkpoint = try best(of: folder, kind: "encoder", dataset)
        var random = SeededRandom(seed: 0)
        let encoder = try AutoregressiveEncoder(
            configuration: checkpoint.configuration(as: AutoregressiveEncoder.Configuration.self),
            using: &random
        )
        try checkpoint.load(into: encoder.parameters)
        return encoder
    }

    /// The language model that a training left, with its tokenizer.
    static func languageModel(
        _ folder: String,
        dataset: PreparedDataset
    ) throws -> (LanguageModel, Tokenizer) {
        let checkpoint = try best(of: folder, kind: "language-model", dataset)
        var random = SeededRandom(seed: 0)
        let model = try LanguageModel(
            configuration: checkpoint.configuration(as: LanguageModelConfiguration.self),
            using: &random
        )
        try checkpoint.load(into: model.parameters)
        return (model, try Tokenizer(contentsOf: folder + "/tokenizer.json"))
    }

    /// The User-LLM that a training left, with its tokenizer.
    static func userLLM(_ folder: String, dataset: PreparedDataset) throws -> (UserLanguageModel, Tokenizer) {
        let checkpoint = try best(of: folder, kind: "user-llm", dataset)
        let configuration = try checkpoint.configuration(as: UserLLMConfiguration.self)
        var random = SeededRandom(seed: 0)
        let model = try UserLanguageModel(
            encoder: AutoregressiveEncoder(configuration: configuration.encoder, using: &random),
            adapter: UserAdapter(configuration: configuration.adapter, using: &random),
            languageModel: LanguageModel(configuration: configuration.languageModel, using: &random)
        )
        try checkpoint.load(into: model.parameters)
        return (model, try Tokenizer(contentsOf: folder + "/tokenizer.json"))
    }

    private static func best(of folder: String, kind: String, _ dataset: PreparedDataset) throws -> Checkpoint {
        guard let data = FileManager.default.contents(atPath: folder + "/run.json") else {
            throw ProcessFailure(
                "\(folder) holds no training: make it with `trainer train \(kind)`",
                exitCode: .badInput
            )
        }
        let description = try JSONDecoder().decode(Description.self, from: data)
        guard description.kind == kind else {
            throw ProcessFailure(
                "\(folder) is the training of a \(description.kind), expected a \(kind)",
                exitCode: .badInput
            )
        }
        guard description.dataHash == dataset.dataHash else {
            throw ProcessFailure(
                "\(folder) was trained on data \(description.dataHash.prefix(12)), "
                    + "not on \(dataset.dataHash.prefix(12)): use the same prepared data set",
                exitCode: .badInput
            )
        }
        return try Checkpoint(folder: folder + "/best")
    }
}
