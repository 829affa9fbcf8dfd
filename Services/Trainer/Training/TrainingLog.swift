import Foundation
import JSON
import NeuralNetwork
import ServiceRuntime
import Tensors

/// A line of `training.jsonl`: a summary of some steps, or a validation.
struct TrainingLogLine: Codable, Sendable, Equatable {
    /// The number of completed steps.
    var step: Int
    /// Seconds of training so far, including validations.
    var seconds: Double
    /// Mean loss of the steps since the previous line.
    var loss: Float?
    /// Learning rate of the last step.
    var learningRate: Float?
    /// Norm of the last step's gradient, before clipping.
    var gradientNorm: Float?
    /// Predictions per second, one per token or event, in the steps since the previous line.
    var tokensPerSecond: Double?
    /// The validation metric.
    var metric: String?
    /// The value of the metric.
    var value: Double?
    /// Whether it was the best so far.
    var isBest: Bool?

    /// The range of valid numbers in a run's folder, because a report computes with them and draws them.
    static let possibleValues = -1e15...1e15

    /// Whether every number is plausible for a training run.
    var isPossible: Bool {
        let numbers = [loss, learningRate, gradientNorm].compactMap { $0.map(Double.init) }
        return AdamW.possibleSteps.contains(step) && TrainingState.possibleSeconds.contains(seconds)
            && (numbers + [tokensPerSecond, value].compactMap(\.self)).allSatisfy(Self.possibleValues.contains)
    }
}

/// The file `training.jsonl` of a run's folder.
///
/// Lines are in step order: a run that resumes first removes the lines after its checkpoint.
enum TrainingLog {
    /// The file's path.
    static func path(_ folder: String) -> String { folder + "/training.jsonl" }

    /// Reads a run's log.
    ///
    /// An incomplete last line is left out, because the run that writes it may still be active.
    /// - Throws: `ProcessFailure` naming file and line, if the file is missing or a line is invalid.
    static func read(_ folder: String) throws -> [TrainingLogLine] {
        let path = path(folder)
        let data: Data
        do {
            data = try FileBytes.mapped(path)
        } catch {
            throw ProcessFailure("\(error): is \(folder) the folder of a training?", exitCode: .badInput)
        }
        var lines = data.split(separator: 0x0A, omittingEmptySubsequences: false)
        _ = lines.popLast()
        return try lines.enumerated().map { index, line in
            guard let read = try? JSONValue.decode(TrainingLogLine.self, from: line, maximumCount: 100), read.isPossible
            else {
                throw ProcessFailure(
                    "\(path):\(index + 1): \"\(String(decoding: line.prefix(80), as: UTF8.self))\" is no line of a training's "
                        + "log; remove the line",
                    exitCode: .badInput
                )
            }
            return read
        }
    }

    /// Removes the lines after a step.
    static func cut(_ folder: String, after step: Int) throws {
        let kept = try read(folder).filter { $0.step <= step }
        try Data(kept.flatMap(encoded)).write(to: URL(fileURLWithPath: path(folder)), options: .atomic)
    }

    /// A line's bytes, with the line break.
    static func encoded(_ line: TrainingLogLine) -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        // The numbers are finite, so this cannot fail.
        guard let data = try? encoder.encode(line) else { return [] }
        return Array(data) + [0x0A]
    }
}
