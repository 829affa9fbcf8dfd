import Foundation
import Synchronization

/// Tells people and programs how a training goes.
///
/// On a terminal one line on stderr is kept up to date; elsewhere a line is written every ten seconds. Every second one
/// JSON object is appended to the run's `training.jsonl`.
final class ProgressReporter: Sendable {
    private struct State {
        var lastShown = -Double.infinity
        var lastLogged = -Double.infinity
        var metric: String?
        var lineLength = 0
        var meanLoss: Float?
    }

    private let name: String
    private let budget: TrainingOptions.Budget
    private let isTerminal: Bool
    private let log: FileHandle
    private let state = Mutex(State())

    /// Starts telling.
    ///
    /// - Parameters:
    ///   - name: what is trained.
    ///   - options: when it ends, and the folder for the log.
    /// - Throws: when the log cannot be written.
    init(name: String, _ options: TrainingOptions) throws {
        self.name = name
        budget = options.budget
        isTerminal = isatty(STDERR_FILENO) == 1
        let path = options.folder + "/training.jsonl"
        try FileManager.default.createDirectory(atPath: options.folder, withIntermediateDirectories: true)
        if !options.resumes || !FileManager.default.fileExists(atPath: path) {
            try Data().write(to: URL(fileURLWithPath: path))
        }
        log = try FileHandle(forWritingTo: URL(fileURLWithPath: path))
        try log.seekToEnd()
    }

    /// Tells of a step.
    func step(_ training: TrainingState, loss: Float, gradientNorm: Float, learningRate: Float) {
        state.withLock { state in
            // A step's loss is noisy; people see a running mean.
            let mean = state.meanLoss.map { 0.95 * $0 + 0.05 * loss } ?? loss
            if mean.isFinite { state.meanLoss = mean }
            if training.seconds - state.lastLogged >= 1 {
                state.lastLogged = training.seconds
                write(
                    TrainingLogLine(
                        step: training.step,
                        seconds: training.seconds,
                        loss: loss,
                        learningRate: learningRate,
                        gradientNorm: gradientNorm,
                        targetsPerSecond: Double(training.targets) / max(training.seconds, 1e-9)
                    )
                )
            }
            guard training.seconds - state.lastShown >= (isTerminal ? 0.5 : 10) else { return }
            state.lastShown = training.seconds
            show(line(training, loss: mean, metric: state.metric), &state, stays: false)
        }
    }

    /// Tells what a validation found.
    func validation(_ training: TrainingState, name: String, value: Double, isBest: Bool) {
        state.withLock { state in
            state.metric = "\(name) \(value.formatted(digits: 4))"
            let best = isBest ? ", the best so far" : ""
            show("\(self.name): step \(training.step), \(state.metric ?? "")\(best)", &state, stays: true)
            write(TrainingLogLine(step: training.step, seconds: training.seconds, metric: name, value: value))
        }
    }

    /// Tells something else.
    func note(_ text: String) {
        state.withLock { show("\(name): \(text)", &$0, stays: true) }
    }

    private func line(_ training: TrainingState, loss: Float, metric: String?) -> String {
        var parts = ["step \(training.step)" + (training.totalSteps.map { " of \($0)" } ?? "")]
        parts.append("loss \(Double(loss).formatted(digits: 4))")
        if let metric { parts.append(metric) }
        parts.append("\(Int(Double(training.targets) / max(training.seconds, 1e-9))) targets/s")
        if let left = secondsLeft(training) {
            parts.append("\(Int(left / 60)):\(String(Int(left) % 60).padded(2)) left")
        }
        return "\(name): " + parts.joined(separator: ", ")
    }

    private func secondsLeft(_ training: TrainingState) -> Double? {
        if let total = training.totalSteps {
            return training.seconds / Double(max(training.step, 1)) * Double(max(total - training.step, 0))
        }
        if case .time(let budget) = budget { return max(budget.inSeconds - training.seconds, 0) }
        return nil
    }

    private func show(_ text: String, _ state: inout State, stays: Bool) {
        var output = text
        if isTerminal {
            let blank = String(repeating: " ", count: max(state.lineLength - text.count, 0))
            output = "\r\(text)\(blank)" + (stays ? "\n" : "")
            state.lineLength = stays ? 0 : text.count
        } else {
            output += "\n"
        }
        FileHandle.standardError.write(Data(output.utf8))
    }

    private func write(_ line: TrainingLogLine) {
        guard var data = try? JSONEncoder().encode(line) else { return }
        data.append(0x0A)
        // A full disk stops the next checkpoint with an error of its own; a log line more or less does not matter.
        try? log.write(contentsOf: data)
    }
}

/// A line of `training.jsonl`.
private struct TrainingLogLine: Encodable {
    var step: Int
    var seconds: Double
    var loss: Float?
    var learningRate: Float?
    var gradientNorm: Float?
    var targetsPerSecond: Double?
    var metric: String?
    var value: Double?

    init(
        step: Int,
        seconds: Double,
        loss: Float? = nil,
        learningRate: Float? = nil,
        gradientNorm: Float? = nil,
        targetsPerSecond: Double? = nil,
        metric: String? = nil,
        value: Double? = nil
    ) {
        self.step = step
        self.seconds = seconds
        // JSON has no infinity and no NaN.
        self.loss = loss.flatMap { $0.isFinite ? $0 : nil }
        self.learningRate = learningRate
        self.gradientNorm = gradientNorm.flatMap { $0.isFinite ? $0 : nil }
        self.targetsPerSecond = targetsPerSecond
        self.metric = metric
        self.value = value
    }
}

extension Double {
    /// The number with this many digits after the point.
    func formatted(digits: Int) -> String { String(format: "%.\(digits)f", self) }
}

extension String {
    /// The text with zeros before it up to a length.
    func padded(_ length: Int) -> String { String(repeating: "0", count: max(length - count, 0)) + self }
}
