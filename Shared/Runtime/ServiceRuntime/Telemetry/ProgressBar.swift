import Foundation
import Glibc
import Synchronization

/// Shows the progress of a long piece of work: a bar on a terminal, a line every few seconds elsewhere.
///
/// Writes to standard error, so that what a command prints stays clean.
public final class ProgressBar: Sendable {
    private struct State {
        var done = 0
        var first = 0
        var lastShown: ContinuousClock.Instant?
        var note = ""
    }

    private let title: String
    private let total: Int?
    private let unit: String
    private let isTerminal: Bool
    private let start = ContinuousClock.now
    private let state: Mutex<State>

    /// Makes a bar.
    ///
    /// - Parameters:
    ///   - title: what is done.
    ///   - total: how much there is; nil when unknown.
    ///   - unit: of what, plural.
    ///   - done: how much was done before, which does not count for the speed.
    public init(_ title: String, total: Int?, unit: String, done: Int = 0) {
        self.title = title
        self.total = total
        self.unit = unit
        isTerminal = isatty(STDERR_FILENO) == 1
        state = Mutex(State(done: done, first: done))
    }

    /// Says how much is done, and in a few words what else is worth seeing.
    public func update(_ done: Int, note: String = "") {
        let line: String? = state.withLock { state in
            state.done = done
            state.note = note
            let now = ContinuousClock.now
            let pause: Duration = isTerminal ? .milliseconds(100) : .seconds(5)
            if let last = state.lastShown, now - last < pause { return nil }
            state.lastShown = now
            return text(state)
        }
        if let line { show(line, isLast: false) }
    }

    /// Shows the last state and ends the line.
    public func finish() {
        show(state.withLock { text($0) }, isLast: true)
    }

    private func text(_ state: State) -> String {
        let seconds = max((ContinuousClock.now - start) / .seconds(1), 1e-3)
        let speed = Double(state.done - state.first) / seconds
        var text = title
        if let total, total > 0 {
            let share = min(Double(state.done) / Double(total), 1)
            let filled = Int(share * 24)
            text += " [" + String(repeating: "#", count: filled) + String(repeating: "-", count: 24 - filled) + "]"
            text += String(format: " %3d%%  %d of %d %@", Int(share * 100), state.done, total, unit)
            if speed > 0, state.done < total { text += ", \(Int(Double(total - state.done) / speed)) s left" }
        } else {
            text += ": \(state.done) \(unit)"
        }
        text += String(format: speed < 10 ? ", %.1f/s" : ", %.0f/s", speed)
        return state.note.isEmpty ? text : "\(text), \(state.note)"
    }

    private func show(_ line: String, isLast: Bool) {
        let text = isTerminal ? "\r\u{1B}[K\(line)\(isLast ? "\n" : "")" : "\(line)\n"
        FileHandle.standardError.write(Data(text.utf8))
    }
}
