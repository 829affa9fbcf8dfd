import Foundation
import NeuralNetwork

/// The record of a training run in its folder: its settings, its progress, and its evaluations.
struct TrainingRecord: Sendable {
    /// A metric of the validation.
    struct Validation: Sendable {
        var step: Int
        var value: Double
    }

    /// Its name in a report.
    var name: String
    var description: RunDescription
    var lines: [TrainingLogLine]
    /// Evaluations of the best checkpoint.
    var evaluations: [EvaluationResult]
    /// The planned number of steps; nil if no checkpoint has it yet.
    var plannedSteps: Int?

    /// Reads a run's folder.
    ///
    /// - Throws: `ProcessFailure` naming the file that is missing or invalid.
    init(folder: String) throws {
        name = URL(fileURLWithPath: folder).lastPathComponent
        description = try RunDescription(folder: folder)
        lines = try TrainingLog.read(folder)
        evaluations = try RunFolder.evaluations(in: folder).map {
            try EvaluationResult(ResultFields(contentsOf: "\(folder)/\($0)"))
        }
        let last = folder + "/last"
        plannedSteps =
            FileManager.default.fileExists(atPath: last)
            ? try TrainingState(of: Checkpoint(folder: last)).totalSteps : nil
    }

    /// Reads several runs; those with the same folder name are called by their paths.
    ///
    /// - Throws: `ProcessFailure` naming the file that is missing or invalid.
    static func read(_ folders: [String]) throws -> [TrainingRecord] {
        var records = try folders.map { try TrainingRecord(folder: $0) }
        let counts = Dictionary(records.map { ($0.name, 1) }, uniquingKeysWith: +)
        for (index, folder) in folders.enumerated() where counts[records[index].name, default: 0] > 1 {
            records[index].name = folder
        }
        return records
    }

    /// The number of completed steps.
    var steps: Int { lines.last?.step ?? 0 }
    /// Seconds of training.
    var seconds: Double { lines.last?.seconds ?? 0 }

    /// A value of the log lines over the steps.
    func curve(_ value: KeyPath<TrainingLogLine, Float?>) -> [Chart.Point] {
        lines.compactMap { line in line[keyPath: value].map { Chart.Point(x: Double(line.step), y: Double($0)) } }
    }

    /// The speed over the steps.
    var speed: [Chart.Point] {
        lines.compactMap { line in line.tokensPerSecond.map { Chart.Point(x: Double(line.step), y: $0) } }
    }

    /// The median of all speeds; nil if there are none.
    var medianSpeed: Double? {
        let speeds = speed.map(\.y).sorted()
        return speeds.isEmpty ? nil : speeds[speeds.count / 2]
    }

    /// The names of the validation metrics, in the order they first appear.
    var metrics: [String] {
        lines.reduce(into: []) { names, line in
            if let name = line.metric, !names.contains(name) { names.append(name) }
        }
    }

    /// The validations with this metric.
    func validations(_ metric: String) -> [Validation] {
        lines.filter { $0.metric == metric }
            .compactMap { line in line.value.map { Validation(step: line.step, value: $0) } }
    }

    /// The best of them; the first if several are equal.
    func best(_ metric: String) -> Validation? {
        validations(metric).reduce(nil as Validation?) { best, found in
            best.map { $0.value >= found.value } == true ? best : found
        }
    }
}
