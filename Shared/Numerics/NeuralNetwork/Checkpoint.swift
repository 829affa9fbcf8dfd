import Foundation
import JSON
public import Tensors

/// A folder with a model's weights, its configuration and its training progress.
///
/// ```
/// model.safetensors       the parameters, by name
/// config.json             the model's configuration
/// training.json           step count and other state of the training loop
/// optimizer.safetensors   the moments, when training will be resumed
/// average.safetensors     the moving average of the weights, when there is one and training will be resumed
/// ```
/// Writes are atomic: a failed or interrupted write leaves the previous folder in place.
public struct Checkpoint: Sendable {
    /// Why a checkpoint cannot be used.
    public enum Failure: Error, CustomStringConvertible {
        /// The folder does not exist.
        case noFolder(String)
        /// A file is missing: the folder is not a checkpoint, or is incomplete.
        case missingFile(folder: String, file: String)
        /// A JSON file does not have the expected content.
        case malformed(path: String, reason: String)

        /// What is wrong, and where.
        public var description: String {
            switch self {
            case .noFolder(let folder):
                "there is no checkpoint at \(folder); train until the first validation, or name another folder"
            case .missingFile(let folder, let file):
                "\(folder) is not a whole checkpoint: it has no \(file); copy the folder again, or train again"
            case .malformed(let path, let reason):
                "\(path) is not what this program writes: \(reason); copy the folder again, or train again"
            }
        }
    }

    private struct Progress<Training: Codable>: Codable {
        let optimizerSteps: Int?
        let training: Training
    }

    private static let model = "model.safetensors"
    private static let optimizer = "optimizer.safetensors"
    private static let average = "average.safetensors"
    private static let configuration = "config.json"
    private static let training = "training.json"
    /// Maximum size of a JSON file in bytes.
    private static let longestJSON = 1 << 20

    /// The folder.
    public let folder: String

    /// Opens a checkpoint and checks that its files are there.
    ///
    /// - Throws: `Checkpoint.Failure`.
    public init(folder: String) throws(Failure) {
        self.folder = folder
        guard FileManager.default.fileExists(atPath: folder) else { throw .noFolder(folder) }
        for file in [Self.model, Self.configuration, Self.training] where !exists(file) {
            throw .missingFile(folder: folder, file: file)
        }
    }

    /// Writes a checkpoint, replacing the existing one.
    ///
    /// - Parameters:
    ///   - folder: the destination.
    ///   - parameters: all parameters, including frozen ones.
    ///   - configuration: for `config.json`.
    ///   - training: for `training.json`: epoch, position, random generators.
    ///   - optimizer: its moments are saved if training may be resumed; nil for a finished model.
    ///   - average: saved beside the weights if training may be resumed; nil for none.
    /// - Throws: `SafeTensorsError`, `DurableWriteError`, or what encoding throws.
    public static func write(
        to folder: String,
        parameters: [Parameter],
        configuration: some Encodable,
        training: some Codable,
        optimizer: AdamW? = nil,
        average: WeightAverage? = nil
    ) throws {
        try DurableFolder.write(to: folder) { temporary in
            try SafeTensors.write(parameters.map(\.named), to: "\(temporary)/\(model)")
            try writeJSON(configuration, to: "\(temporary)/\(self.configuration)")
            let progress = Progress(optimizerSteps: optimizer?.stepCount, training: training)
            try writeJSON(progress, to: "\(temporary)/\(self.training)")
            if let optimizer { try SafeTensors.write(optimizer.state, to: "\(temporary)/\(self.optimizer)") }
            if let average { try SafeTensors.write(average.state, to: "\(temporary)/\(self.average)") }
        }
    }

    /// Reads `config.json`.
    ///
    /// - Throws: `Checkpoint.Failure`.
    public func configuration<Value: Decodable>(as type: Value.Type) throws(Failure) -> Value {
        try readJSON(type, Self.configuration)
    }

    /// Reads the saved state of the training loop.
    ///
    /// - Throws: `Checkpoint.Failure`.
    public func training<Value: Codable>(as type: Value.Type) throws(Failure) -> Value {
        try readJSON(Progress<Value>.self, Self.training).training
    }

    /// The weights file, from which a model with this configuration can be made.
    ///
    /// - Throws: `SafeTensorsError` when the file is damaged.
    public func weights() throws(SafeTensorsError) -> SafeTensors { try SafeTensors(path: "\(folder)/\(Self.model)") }

    /// Loads the weights into parameters of the same names and shapes, all finite; on a mismatch none is changed.
    ///
    /// - Throws: `SafeTensorsError` that names the parameter.
    public func load(into parameters: [Parameter]) throws(SafeTensorsError) {
        try weights().load(into: parameters.map(\.named))
    }

    /// Restores the optimizer's moments and step count; training then continues bit-identically.
    ///
    /// - Throws: `Checkpoint.Failure` when it was written without an optimizer, or `SafeTensorsError`.
    public func load(into optimizer: AdamW) throws {
        struct Unread: Codable {}
        guard exists(Self.optimizer), let steps = try readJSON(Progress<Unread>.self, Self.training).optimizerSteps
        else {
            throw Failure.missingFile(folder: folder, file: Self.optimizer)
        }
        guard AdamW.possibleSteps.contains(steps) else {
            let reason = "optimizerSteps is \(steps), expected from 0 to \(AdamW.possibleSteps.upperBound)"
            throw Failure.malformed(path: "\(folder)/\(Self.training)", reason: reason)
        }
        try optimizer.restore(SafeTensors(path: "\(folder)/\(Self.optimizer)"), stepCount: steps)
    }

    /// Restores the moving average of the weights.
    ///
    /// - Throws: `Checkpoint.Failure` when it was written without one, or `SafeTensorsError`.
    public func load(into average: WeightAverage) throws {
        guard exists(Self.average) else { throw Failure.missingFile(folder: folder, file: Self.average) }
        try SafeTensors(path: "\(folder)/\(Self.average)").load(into: average.state)
    }

    private func exists(_ file: String) -> Bool { FileManager.default.fileExists(atPath: "\(folder)/\(file)") }

    private func readJSON<Value: Decodable>(_ type: Value.Type, _ file: String) throws(Failure) -> Value {
        let path = "\(folder)/\(file)"
        do {
            return try JSONValue.decode(type, from: FileBytes.contents(path, atMost: Self.longestJSON))
        } catch {
            throw .malformed(path: path, reason: JSONError.reason(error))
        }
    }

    private static func writeJSON(_ value: some Encodable, to path: String) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        try encoder.encode(value).write(to: URL(filePath: path))
    }
}

extension Parameter {
    /// The parameter's tensor under its name, for files.
    public var named: NamedTensor { NamedTensor(name, value) }
}
