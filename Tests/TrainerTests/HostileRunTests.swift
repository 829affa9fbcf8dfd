import Foundation
import NeuralNetwork
import ServiceRuntime
import Testing

@testable import Trainer

/// Run folders whose files say what no training can have written: each is an error that names it.
@Suite final class HostileRunTests {
    private let folder = FileManager.default.temporaryDirectory.appending(path: "run-\(UUID().uuidString)").path

    deinit { try? FileManager.default.removeItem(atPath: folder) }

    private let good = #"{"step":10,"seconds":1.5,"loss":2.5,"tokensPerSecond":1000,"metric":"HR@10","value":0.25}"#

    /// A run with one line of a log, one evaluation, and a checkpoint's numbers.
    private func write(line: String? = nil, evaluation: String = #"{"hr_10": 0.25}"#, training: String? = nil) throws {
        let description = RunDescription(kind: "encoder", dataHash: "h", seed: 1, threads: 1)
        try description.write(to: folder)
        try Data(((line ?? good) + "\n").utf8).write(to: URL(filePath: folder + "/training.jsonl"))
        try Data(evaluation.utf8).write(to: URL(filePath: folder + "/evaluation-test.json"))
        guard let training else { return }
        try Checkpoint.write(
            to: folder + "/last",
            parameters: [.constant("a", [1], 1)],
            configuration: ["width": 1],
            training: TrainingState()
        )
        try Data(#"{"training": \#(training)}"#.utf8).write(to: URL(filePath: folder + "/last/training.json"))
    }

    private func message() -> String {
        do {
            _ = try ReportCommand.write([folder], to: folder + "/report.html")
            return "no error"
        } catch {
            return "\(error)"
        }
    }

    @Test func numbersOfATrainingAreTaken() throws {
        try write(
            evaluation: #"{"hr_10": 0.25, "users": 6040, "protocol": "leave-one-out"}"#,
            training: #"{"step": 10, "targets": 100, "seconds": 1.5, "bestStep": 10, "bestMetric": 0.25}"#
        )
        #expect(message() == "no error")
    }

    @Test(arguments: [
        #"{"step":9223372036854775807,"seconds":1}"#, #"{"step":-1,"seconds":1}"#, #"{"step":1,"seconds":1e300}"#,
        #"{"step":1,"seconds":-1}"#, #"{"step":1,"seconds":1,"tokensPerSecond":1e300}"#,
        #"{"step":1,"seconds":1,"loss":3e38}"#, #"{"step":1,"seconds":1,"metric":"HR@10","value":-1e308}"#,
        #"{"step":1e400,"seconds":1}"#,
    ])
    func aLineThatNoTrainingWritesIsNamed(line: String) throws {
        try write(line: line)
        let message = message()
        #expect(message.contains("training.jsonl:1") && message.contains("is no line of a training's log"))
    }

    @Test(arguments: [
        #"{"hr_10": 0.25, "users": 1e300}"#, #"{"hr_10": -1e16}"#, #"{"hr_10": 0.25, "seconds": 1e16}"#, "{}",
    ])
    func aNumberThatNoEvaluationFindsIsNamed(evaluation: String) throws {
        try write(evaluation: evaluation)
        #expect(message().contains("evaluation-test.json"))
    }

    @Test(arguments: [
        ("step", "9223372036854775807"), ("step", "-1"), ("totalSteps", "9223372036854775807"), ("totalSteps", "-5"),
        ("targets", "9223372036854775807"), ("seconds", "1e300"), ("seconds", "-1"), ("bestStep", "-1"),
        ("validationsSinceBest", "9223372036854775807"), ("bestMetric", "1e300"),
    ])
    func aStateThatNoTrainingHasIsNamed(key: String, value: String) throws {
        var numbers = ["step": "10", "targets": "100", "seconds": "1.5", "bestStep": "10"]
        numbers[key] = value
        let fields = numbers.sorted { $0.key < $1.key }.map { "\"\($0.key)\": \($0.value)" }
        try write(training: "{\(fields.joined(separator: ", "))}")
        let message = message()
        #expect(message.contains("training.json") && message.contains("\(key) is "))
    }
}
