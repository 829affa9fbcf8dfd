import Foundation
import Synchronization

/// Tells people and programs how a training goes.
///
/// On a terminal one line on stderr is kept up to date; elsewhere a line is written every ten seconds. Every second, and
/// at every validation, one JSON object is appended to the run's `training.jsonl`.
final class ProgressReporter: Sendable {
    /// Where people read.
    struct Output: Sendable {
        /// Whether a line can be written over.
        var isTerminal: Bool
        /// Writes a text.
        var write: @Sendable (String) -> Void

        /// Standard error, so that what a command prints stays clean.
        static var standardError: Output {
            Output(isTerminal: isatty(STDERR_FILENO) == 1) { FileHandle.standardError.write(Data($0.utf8)) }
        }
    }

    /// What happened since the last line of the log.
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
        /// When the last step ended, or the last validation, on the training's own clock.
        var lastEnd = 0.0
        var lastShown = -Double.infinity
        var lastLogged = -Double.infinity
        var metric: String?
        var meanLoss: Float?
        var speed: Double?
        var isLineOpen = false
    }

    private let name: String
    private let folder: String
    private let budget: TrainingOptions.Budget
    private let output: Output
    private let state: Mutex<State>

    /// Starts telling.
    ///
    /// - Parameters:
    ///   - name: what is trained.
    ///   - options: when it ends, and the folder for the log.
    ///   - output: where people read.
    /// - Throws: when the log cannot be written.
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

    /// Tells that a training goes on from a checkpoint, and takes back what was logged of later steps.
    ///
    /// - Throws: when the log cannot be read or written.
    func resume(_ training: TrainingState) throws {
        try TrainingLog.cut(folder, after: training.step)
        let log = try Self.open(TrainingLog.path(folder))
        state.withLock { state in
            state.log = log
            state.lastEnd = training.seconds
        }
        note("going on at step \(training.step)")
    }

    /// Empties the log of a training that was to go on and has no checkpoint yet, as it makes all its steps again.
    ///
    /// - Throws: when the log cannot be written.
    func startOver() throws {
        let path = TrainingLog.path(folder)
        let hadLines = try state.withLock { try $0.log.offset() > 0 }
        try Data().write(to: URL(fileURLWithPath: path))
        let log = try Self.open(path)
        state.withLock { $0.log = log }
        if hadLines { note("there is no checkpoint to go on from yet: it begins again at step 0") }
    }

    /// Tells of a step.
    ///
    /// - Parameters:
    ///   - training: where the training is after the step.
    ///   - loss: the step's loss.
    ///   - gradientNorm: before clipping.
    ///   - learningRate: the step's.
    ///   - targets: how many predictions the step learnt from.
    func step(_ training: TrainingState, loss: Float, gradientNorm: Float, learningRate: Float, targets: Int) {
        state.withLock { state in
            // A step's loss is noisy; people see a running mean.
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

    /// Tells what a validation found.
    ///
    /// - Parameters:
    ///   - training: where the training is, its seconds with those of the validation.
    ///   - name: what was measured.
    ///   - value: what it came to.
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

    /// Tells something else.
    func note(_ text: String) {
        state.withLock { show("\(name): \(text)", &$0, stays: true) }
    }

    private func line(_ training: TrainingState, _ state: State) -> String {
        var parts = ["step \(training.step)" + (training.totalSteps.map { " of \($0)" } ?? "")]
        if let loss = state.meanLoss { parts.append("loss \(Double(loss).formatted(digits: 4))") }
        if let metric = state.metric { parts.append(metric) }
        if let speed = state.speed { parts.append("\(Int(speed)) tokens/s") }
        if let left = secondsLeft(training) { parts.append("\(Self.clock(left)) left") }
        return "\(name): " + parts.joined(separator: ", ")
    }

    /// Such as `0:42`, `12:05` or `1:12:05`.
    private static func clock(_ seconds: Double) -> String {
        let whole = Int(seconds.rounded())
        let last = "\(String(whole / 60 % 60).padded(2)):\(String(whole % 60).padded(2))"
        return whole >= 3_600 ? "\(whole / 3_600):\(last)" : "\(whole / 60):\(last.suffix(2))"
    }

    private func secondsLeft(_ training: TrainingState) -> Double? {
        if let total = training.totalSteps {
            return training.seconds / Double(max(training.step, 1)) * Double(max(total - training.step, 0))
        }
        if case .time(let budget) = budget { return max(budget.inSeconds - training.seconds, 0) }
        return nil
    }

    private func show(_ text: String, _ state: inout State, stays: Bool) {
        guard output.isTerminal else { return output.write(text + "\n") }
        // Without automatic line breaks a text that is too long is cut off instead of leaving lines behind.
        output.write("\r\u{1B}[K\u{1B}[?7l\(text)\u{1B}[?7h" + (stays ? "\n" : ""))
        state.isLineOpen = !stays
    }

    /// Tells that no more steps follow: logs what was not, and ends a line that is still written over.
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
        // A full disk stops the next checkpoint with an error of its own; a log line more or less does not matter.
        try? state.log.write(contentsOf: TrainingLog.encoded(line))
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
