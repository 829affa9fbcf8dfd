import Foundation
import Synchronization
import Testing

@testable import Trainer

@Suite("Progress of a training")
final class ProgressReporterTests {
    /// Keeps what people would read.
    private final class Screen: Sendable {
        let text = Mutex("")

        func output(isTerminal: Bool) -> ProgressReporter.Output {
            ProgressReporter.Output(isTerminal: isTerminal) { text in self.text.withLock { $0 += text } }
        }
    }

    private let folder = FileManager.default.temporaryDirectory.appending(path: "progress-\(UUID().uuidString)").path
    private let screen = Screen()

    deinit { try? FileManager.default.removeItem(atPath: folder) }

    private func reporter(isTerminal: Bool = false, resumes: Bool = false) throws -> ProgressReporter {
        let options = TrainingOptions(
            budget: .steps(200),
            learningRate: 1e-3,
            weightDecay: 0,
            warmUpSteps: 0,
            validations: 1,
            threads: 1,
            seed: 1,
            folder: folder,
            resumes: resumes
        )
        return try ProgressReporter(name: "encoder", options, output: screen.output(isTerminal: isTerminal))
    }

    private func state(step: Int, seconds: Double) -> TrainingState {
        TrainingState(step: step, totalSteps: 200, targets: 100 * step, seconds: seconds)
    }

    /// Tells of steps that take a quarter of a second and learn from 100 predictions each.
    private func tell(_ reporter: ProgressReporter, _ steps: ClosedRange<Int>) {
        for step in steps {
            reporter.step(
                state(step: step, seconds: 0.25 * Double(step)),
                loss: 2,
                gradientNorm: 0.5,
                learningRate: 1e-3,
                targets: 100
            )
        }
    }

    @Test func aLineNamesStepLossMetricSpeedAndTimeLeft() throws {
        let reporter = try reporter()
        tell(reporter, 1...20)
        reporter.validation(state(step: 20, seconds: 5), name: "validation HR@10", value: 0.25, isBest: true)
        tell(reporter, 21...41)
        let lines = screen.text.withLock { $0 }.split(separator: "\n")
        #expect(lines.first == "encoder: step 1 of 200, loss 2.0000, 400 tokens/s, 0:50 left")
        #expect(lines.dropFirst().first == "encoder: step 20, validation HR@10 0.2500, the best so far")
        #expect(lines.last == "encoder: step 41 of 200, loss 2.0000, validation HR@10 0.2500, 400 tokens/s, 0:40 left")
        #expect(lines.count == 3, "a line every ten seconds, and one for the validation")
    }

    @Test func aTerminalHasOneLineThatIsWrittenOver() throws {
        let reporter = try reporter(isTerminal: true)
        tell(reporter, 1...9)
        reporter.validation(state(step: 9, seconds: 3), name: "HR", value: 0.1, isBest: false)
        tell(reporter, 13...16)
        reporter.finish(state(step: 16, seconds: 4))
        let text = screen.text.withLock { $0 }
        let parts = text.components(separatedBy: "\r")
        #expect(parts.dropFirst().allSatisfy { $0.hasPrefix("\u{1B}[K\u{1B}[?7l") })
        #expect(text.count { $0 == "\n" } == 2, "one line stays for the validation, and the last one is ended")
        #expect(text.hasSuffix("\u{1B}[?7h\n"))
    }

    @Test func theLogHasEachStretchAndEachValidation() throws {
        let reporter = try reporter()
        tell(reporter, 1...6)
        reporter.validation(state(step: 6, seconds: 9), name: "HR", value: 0.1, isBest: true)
        let last = state(step: 7, seconds: 9.5)
        reporter.step(last, loss: .nan, gradientNorm: .infinity, learningRate: 1e-3, targets: 100)
        reporter.finish(state(step: 7, seconds: 9.5))
        let lines = try TrainingLog.read(folder)
        #expect(lines.map(\.step) == [1, 5, 6, 6, 7])
        #expect(lines[1].loss == 2 && lines[1].tokensPerSecond == 400 && lines[1].learningRate == 1e-3)
        #expect(lines[3].metric == "HR" && lines[3].value == 0.1 && lines[3].isBest == true)
        #expect(lines[4].loss == nil && lines[4].gradientNorm == nil)
        #expect(lines[4].tokensPerSecond == 200, "the validation's seconds are nobody's step")
    }

    @Test func goingOnTakesBackWhatIsLaterThanTheCheckpoint() throws {
        tell(try reporter(), 1...20)
        let resumed = try reporter(resumes: true)
        try resumed.resume(state(step: 12, seconds: 3))
        tell(resumed, 13...20)
        resumed.finish(state(step: 20, seconds: 5))
        let steps = try TrainingLog.read(folder).map(\.step)
        #expect(steps == steps.sorted() && Set(steps).count == steps.count && steps.last == 20)
        #expect(screen.text.withLock { $0 }.contains("encoder: going on at step 12\n"))
        _ = try reporter()
        #expect(try TrainingLog.read(folder).isEmpty, "a new training begins a new log")
    }

    /// An earlier sitting may have been on a busier machine.
    @Test func theTimeLeftIsToldByThisSittingsSteps() throws {
        let resumed = try reporter(resumes: true)
        try resumed.resume(state(step: 100, seconds: 1_000))
        let next = state(step: 101, seconds: 1_000.25)
        resumed.step(next, loss: 2, gradientNorm: 0.5, learningRate: 1e-3, targets: 100)
        #expect(screen.text.withLock { $0 }.contains("step 101 of 200, loss 2.0000, 400 tokens/s, 0:25 left"))
    }

    /// Ends the log in the middle of a line, as a crash does.
    private func breakOff() throws {
        let log = try FileHandle(forWritingTo: URL(fileURLWithPath: TrainingLog.path(folder)))
        try log.seekToEnd()
        try log.write(contentsOf: Data(#"{"step":21,"sec"#.utf8))
        try log.close()
    }

    @Test func aLineThatACrashLeftHalfWrittenIsDropped() throws {
        tell(try reporter(), 1...20)
        try breakOff()
        #expect(try TrainingLog.read(folder).last?.step == 17)
        let resumed = try reporter(resumes: true)
        try resumed.resume(state(step: 20, seconds: 5))
        tell(resumed, 21...28)
        resumed.finish(state(step: 28, seconds: 7))
        let steps = try TrainingLog.read(folder).map(\.step)
        #expect(steps == steps.sorted() && Set(steps).count == steps.count && steps.last == 28)
    }

    @Test func startingOverEmptiesTheLog() throws {
        tell(try reporter(), 1...20)
        try breakOff()
        let again = try reporter(resumes: true)
        try again.startOver()
        tell(again, 1...2)
        again.finish(state(step: 2, seconds: 0.5))
        #expect(try TrainingLog.read(folder).map(\.step) == [1, 2])
        #expect(screen.text.withLock { $0 }.contains("encoder: there is no checkpoint to go on from yet"))
    }

    @Test func aLogThatIsNoneIsNamedWithItsLine() throws {
        let missing = #expect(throws: (any Error).self) { try TrainingLog.read(folder) }
        #expect("\(try #require(missing))".contains("training.jsonl: does not exist"))
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        let url = URL(fileURLWithPath: TrainingLog.path(folder))
        try Data((#"{"step":1,"seconds":0.1}"# + "\nnonsense\n").utf8).write(to: url)
        let wrong = #expect(throws: (any Error).self) { try TrainingLog.read(folder) }
        #expect("\(try #require(wrong))".contains("training.jsonl:2: \"nonsense\""))
        try Data((#"{"step":1,"seconds":0.1}"# + "\n{\"step\":2,\"sec").utf8).write(to: url)
        #expect(try TrainingLog.read(folder).map(\.step) == [1], "the last line is still being written")
    }
}
