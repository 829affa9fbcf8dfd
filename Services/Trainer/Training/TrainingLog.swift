import Foundation
import JSON
import NeuralNetwork
import ServiceRuntime
import Tensors

/// A line of `training.jsonl`: what some steps were like, or what a validation found.
struct TrainingLogLine: Codable, Sendable, Equatable {
    /// Steps made until then.
    var step: Int
    /// Seconds of training until then, with validations.
    var seconds: Double
    /// Mean loss of the steps since the line before.
    var loss: Float?
    /// Learning rate of the last step.
    var learningRate: Float?
    /// Norm of the last step's gradient, before clipping.
    var gradientNorm: Float?
    /// Predictions learnt from in a second, one per token or event, in the steps since the line before.
    var tokensPerSecond: Double?
    /// What was validated.
    var metric: String?
    /// What the validation found.
    var value: Double?
    /// Whether it was the best so far.
    var isBest: Bool?

    /// What a number in a run's folder may be: a report counts with it, and draws it.
    static let possibleValues = -1e15...1e15

    /// Whether every number can be of a training.
    var isPossible: Bool {
        let numbers = [loss, learningRate, gradientNorm].compactMap { $0.map(Double.init) }
        return AdamW.possibleSteps.contains(step) && TrainingState.possibleSeconds.contains(seconds)
            && (numbers + [tokensPerSecond, value].compactMap(\.self)).allSatisfy(Self.possibleValues.contains)
    }
}

/// The file `training.jsonl` of a run's folder.
///
/// Lines are in order of steps: a training that goes on first removes what is later than the checkpoint it goes on from.
enum TrainingLog {
    /// The file's path.
    static func path(_ folder: String) -> String { folder + "/training.jsonl" }

    /// Reads a run's log.
    ///
    /// A last line without its end is left out: the training that writes it may still be running.
    /// - Throws: `ProcessFailure` naming file and line, when there is no such file or a line is not understood.
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

    /// A line's bytes, with its end.
    static func encoded(_ line: TrainingLogLine) -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        // The numbers are finite, so this cannot fail.
        guard let data = try? encoder.encode(line) else { return [] }
        return Array(data) + [0x0A]
    }
}
