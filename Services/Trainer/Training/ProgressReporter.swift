import Foundation
import Synchronization

/// Reports the progress of a training run to people and programs.
///
/// On a terminal one line on standard error is updated in place; elsewhere a line is written every ten seconds. Every
/// second, and at every validation, one JSON object is appended to the run's `training.jsonl`.
final class ProgressReporter: Sendable {
    /// The output for people.
    struct Output: Sendable {
        /// Whether a line can be overwritten.
        var isTerminal: Bool
        /// Writes a text.
        var write: @Sendable (String) -> Void

        /// Standard error, so that a command's own output stays clean.
        static var standardError: Output {
            Output(isTerminal: isatty(STDERR_FILENO) == 1) { FileHandle.standardError.write(Data($0.utf8)) }
        }
    }

    /// What happened since the last log line.
    private struct Stretch {
        var steps = 0
        var lossSum = 0.0
        var targets = 0
        var seconds = 0.0
        var learningRate: Float = 0
        var gradientNorm: Float = 0
    }

    private struct State {
        var log: FileHandle
        var stretch = Stretch()
        /// The end of the last step or validation, on the training clock.
        var lastEnd = 0.0
        var lastShown = -Double.infinity
        var lastLogged = -Double.infinity
        var metric: String?
        var meanLoss: Float?
        var speed: Double?
        var isLineOpen = false
        /// Where this sitting began; an earlier one may have been on a busier machine.
        var start = (step: 0, seconds: 0.0)
    }

    private let name: String
    private let folder: String
    private let budget: TrainingOptions.Budget
    private let output: Output
    private let state: Mutex<State>

    /// Starts reporting.
    ///
    /// - Parameters:
    ///   - name: the name of what is trained.
    ///   - options: the budget, and the folder for the log.
    ///   - output: the output for people.
    /// - Throws: if the log cannot be written.
    init(name: String, _ options: TrainingOptions, output: Output = .standardError) throws {
        self.name = name
        self.output = output
        folder = options.folder
        budget = options.budget
        let path = TrainingLog.path(folder)
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        if !options.resumes || !FileManager.default.fileExists(atPath: path) {
            try Data().write(to: URL(fileURLWithPath: path))
        }
        state = Mutex(State(log: try Self.open(path)))
    }

    private static func open(_ path: String) throws -> FileHandle {
        let log = try FileHandle(forWritingTo: URL(fileURLWithPath: path))
        try log.seekToEnd()
        return log
    }

    /// Reports that a run resumes from a checkpoint, and removes log lines of later steps.
    ///
    /// - Throws: if the log cannot be read or written.
    func resume(_ training: TrainingState) throws {
        try TrainingLog.cut(folder, after: training.step)
        let log = try Self.open(TrainingLog.path(folder))
        state.withLock { state in
            state.log = log
            state.lastEnd = training.seconds
            state.start = (training.step, training.seconds)
        }
        note("going on at step \(training.step)")
    }

    /// Empties the log of a run that was to resume but has no checkpoint yet, because it repeats all its steps.
    ///
    /// - Throws: if the log cannot be written.
    func startOver() throws {
        let path = TrainingLog.path(folder)
        let hadLines = try state.withLock { try $0.log.offset() > 0 }
        try Data().write(to: URL(fileURLWithPath: path))
        let log = try Self.open(path)
        state.withLock { $0.log = log }
        if hadLines { note("there is no checkpoint to go on from yet: it begins again at step 0") }
    }

    /// Reports a step.
    ///
    /// - Parameters:
    ///   - training: the state after the step.
    ///   - loss: the step's loss.
    ///   - gradientNorm: the norm before clipping.
    ///   - learningRate: the step's learning rate.
    ///   - targets: the number of predictions in the step.
    func step(_ training: TrainingState, loss: Float, gradientNorm: Float, learningRate: Float, targets: Int) {
        state.withLock { state in
            // A single step's loss is noisy, so people see a running mean.
            let mean = state.meanLoss.map { 0.95 * $0 + 0.05 * loss } ?? loss
            if mean.isFinite { state.meanLoss = mean }
            let seconds = max(training.seconds - state.lastEnd, 1e-9)
            let speed = Double(targets) / seconds
            state.speed = state.speed.map { 0.95 * $0 + 0.05 * speed } ?? speed
            state.lastEnd = training.seconds
            state.stretch.steps += 1
            state.stretch.lossSum += Double(loss)
            state.stretch.targets += targets
            state.stretch.seconds += seconds
            state.stretch.learningRate = learningRate
            state.stretch.gradientNorm = gradientNorm
            if training.seconds - state.lastLogged >= 1 { logStretch(training, &state) }
            guard training.seconds - state.lastShown >= (output.isTerminal ? 0.5 : 10) else { return }
            state.lastShown = training.seconds
            show(line(training, state), &state, stays: false)
        }
    }

    /// Reports a validation.
    ///
    /// - Parameters:
    ///   - training: the state, with the validation included in its seconds.
    ///   - name: the metric's name.
    ///   - value: the metric's value.
    ///   - isBest: whether it is the best so far.
    func validation(_ training: TrainingState, name: String, value: Double, isBest: Bool) {
        state.withLock { state in
            logStretch(training, &state)
            state.lastEnd = training.seconds
            state.metric = "\(name) \(value.formatted(digits: 4))"
            let best = isBest ? ", the best so far" : ""
            show("\(self.name): step \(training.step), \(state.metric ?? "")\(best)", &state, stays: true)
            let number = value.isFinite ? value : nil
            write(
                TrainingLogLine(
                    step: training.step,
                    seconds: training.seconds,
                    metric: name,
                    value: number,
                    isBest: isBest
                ),
                &state
            )
        }
    }

    /// Reports something else.
    func note(_ text: String) {
        state.withLock { show("\(name): \(text)", &$0, stays: true) }
    }

    private func line(_ training: TrainingState, _ state: State) -> String {
        var parts = ["step \(training.step)" + (training.totalSteps.map { " of \($0)" } ?? "")]
        if let loss = state.meanLoss { parts.append("loss \(Double(loss).formatted(digits: 4))") }
        if let metric = state.metric { parts.append(metric) }
        if let speed = state.speed { parts.append("\(Int(speed)) tokens/s") }
        if let left = secondsLeft(training, since: state.start) { parts.append("\(Self.clock(left)) left") }
        return "\(name): " + parts.joined(separator: ", ")
    }

    /// A duration in the form `0:42`, `12:05` or `1:12:05`.
    private static func clock(_ seconds: Double) -> String {
        let whole = Int(seconds.rounded())
        let last = "\(String(whole / 60 % 60).padded(2)):\(String(whole % 60).padded(2))"
        return whole >= 3_600 ? "\(whole / 3_600):\(last)" : "\(whole / 60):\(last.suffix(2))"
    }

    private func secondsLeft(_ training: TrainingState, since start: (step: Int, seconds: Double)) -> Double? {
        if let total = training.totalSteps {
            let secondsPerStep = (training.seconds - start.seconds) / Double(max(training.step - start.step, 1))
            return secondsPerStep * Double(max(total - training.step, 0))
        }
        if case .time(let budget) = budget { return max(budget.inSeconds - training.seconds, 0) }
        return nil
    }

    private func show(_ text: String, _ state: inout State, stays: Bool) {
        guard output.isTerminal else { return output.write(text + "\n") }
        // Without automatic wrapping, text that is too long is cut off instead of leaving extra lines behind.
        output.write("\r\u{1B}[K\u{1B}[?7l\(text)\u{1B}[?7h" + (stays ? "\n" : ""))
        state.isLineOpen = !stays
    }

    /// Reports that no more steps follow: logs what is pending, and ends a line that is being updated.
    func finish(_ training: TrainingState) {
        state.withLock { state in
            logStretch(training, &state)
            if state.isLineOpen { output.write("\n") }
            state.isLineOpen = false
        }
    }

    private func logStretch(_ training: TrainingState, _ state: inout State) {
        let stretch = state.stretch
        guard stretch.steps > 0 else { return }
        let loss = Float(stretch.lossSum / Double(stretch.steps))
        write(
            TrainingLogLine(
                step: training.step,
                seconds: training.seconds,
                // JSON has no infinity and no NaN.
                loss: loss.isFinite ? loss : nil,
                learningRate: stretch.learningRate,
                gradientNorm: stretch.gradientNorm.isFinite ? stretch.gradientNorm : nil,
                tokensPerSecond: Double(stretch.targets) / stretch.seconds
            ),
            &state
        )
        state.lastLogged = training.seconds
        state.stretch = Stretch()
    }

    private func write(_ line: TrainingLogLine, _ state: inout State) {
        // A full disk makes the next checkpoint fail with its own error; a missing log line does not matter.
        try? state.log.write(contentsOf: TrainingLog.encoded(line))
    }
}

extension Double {
    /// The number with this many decimal places.
    func formatted(digits: Int) -> String { String(format: "%.\(digits)f", self) }
}

extension String {
    /// The text padded with leading zeros to a length.
    func padded(_ length: Int) -> String { String(repeating: "0", count: max(length - count, 0)) + self }
}
