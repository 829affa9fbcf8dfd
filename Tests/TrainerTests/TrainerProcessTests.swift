import Datasets
import Foundation
import Glibc
import Bytes
import NeuralNetwork
import ServiceRuntime
import Testing

@testable import Trainer

/// The program itself, as people run it: signals, exit codes, and a disk that is full.
@Suite("The trainer as a process", .serialized, .timeLimit(.minutes(15)))
struct TrainerProcessTests {
    /// How a run of the program ended, and what it said.
    private struct Ended {
        var status: ChildProcess.Status
        var output: String
    }

    private let world: World

    init() throws { world = try World() }

    /// The program lies beside the tests.
    private static var program: String {
        let own = (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? ""
        return URL(fileURLWithPath: own).deletingLastPathComponent().path + "/trainer"
    }

    private func training(_ run: String, steps: Int, validations: Int = 2, resumes: Bool = false) -> [String] {
        [
            "train", "encoder", world.folder + "/prepared", "\(world.folder)/\(run)", "--steps", "\(steps)",
            "--validations", "\(validations)", "--width", "16", "--layers", "1", "--length", "12", "--batch", "16",
            "--threads", "2", resumes ? "--resume" : "--no-resume",
        ]
    }

    /// Starts a program, lets something happen while it runs, and waits for its end.
    private func run(
        _ executable: String,
        _ arguments: [String],
        failpoints: String = "",
        meanwhile: (ChildProcess, _ output: String) async throws -> Void = { _, _ in }
    ) async throws -> Ended {
        let path = "\(world.folder)/output-\(UUID().uuidString)"
        let child = try await ChildProcess.start(
            ChildProcess.Specification(
                executable: executable,
                arguments: arguments,
                environment: ProcessInfo.processInfo.environment.filter { !$0.key.hasPrefix("USERLLM_") }
                    .merging(["USERLLM_FAILPOINT": failpoints]) { $1 },
                outputFile: path
            )
        )
        try await meanwhile(child, path)
        let status = await child.ended()
        return Ended(status: status, output: try String(contentsOfFile: path, encoding: .utf8))
    }

    private func trainer(_ arguments: [String]) async throws -> Ended {
        try await run(Self.program, arguments)
    }

    /// Runs a training that stands still after its third step, presses Ctrl-C, and lets it go on.
    private func interrupted(_ arguments: [String]) async throws -> Ended {
        try await run(Self.program, arguments, failpoints: "trainer.step:stop@3") { child, _ in
            while child.status == nil, !isStopped(child) { try await Task.sleep(for: .milliseconds(5)) }
            child.signal(SIGINT)
            child.signal(SIGCONT)
        }
    }

    private func isStopped(_ child: ChildProcess) -> Bool {
        (try? String(contentsOfFile: "/proc/\(child.id)/stat", encoding: .utf8))?.contains(") T ") == true
    }

    private func lastStep(_ run: String) throws -> Int {
        try Checkpoint(folder: "\(world.folder)/\(run)/last").training(as: TrainingState.self).step
    }

    @Test func ctrlCLeavesACheckpointFromWhichTheSameNumbersFollow() async throws {
        defer { world.remove() }
        let whole = try await trainer(training("whole", steps: 1_500))
        #expect(whole.status == .exited(0))
        let first = try await interrupted(training("halves", steps: 1_500))
        #expect(first.status == .exited(ExitCode.interrupted.rawValue), "\(first.output)")
        #expect(first.output.contains("--resume goes on from it"))
        let step = try lastStep("halves")
        #expect(0 < step && step < 1_500)
        let second = try await trainer(training("halves", steps: 1_500, resumes: true))
        #expect(second.status == .exited(0), "\(second.output)")
        #expect(second.output.contains("going on at step \(step)"))
        for file in ["best/model.safetensors", "last/model.safetensors", "last/optimizer.safetensors"] {
            let same = try ["whole", "halves"].map {
                try Data(contentsOf: URL(fileURLWithPath: "\(world.folder)/\($0)/\(file)"))
            }
            #expect(same[0] == same[1], "\(file) differs")
        }
        let steps = try TrainingLog.read(world.folder + "/halves").map(\.step)
        #expect(steps == steps.sorted() && steps.last == 1_500)
    }

    @Test func aFullDiskIsToldAndTheLastGoodCheckpointSurvives() async throws {
        defer { world.remove() }
        let begun = try await interrupted(training("run", steps: 50_000))
        #expect(begun.status == .exited(ExitCode.interrupted.rawValue), "\(begun.output)")
        let step = try lastStep("run")
        // No file may grow beyond 4 KB, which needs no rights, unlike a small file system; the error is of the same kind.
        let words = [Self.program] + training("run", steps: 50_000, validations: 10_000, resumes: true)
        let command = "trap '' XFSZ; ulimit -f 8; exec " + words.map { "'\($0)'" }.joined(separator: " ")
        let failed = try await run("/bin/sh", ["-c", command])
        #expect(failed.status == .exited(ExitCode.failure.rawValue), "\(failed.output)")
        #expect(failed.output.contains("/run/last still holds that of step \(step)"), "\(failed.output)")
        #expect(failed.output.contains("go on with --resume"))
        #expect(try lastStep("run") == step)
        let left = try FileManager.default.contentsOfDirectory(atPath: world.folder + "/run")
        #expect(!left.contains { $0.contains("writing") }, "a half-written checkpoint was left: \(left)")
        let resumed = try await interrupted(training("run", steps: 50_000, resumes: true))
        #expect(resumed.status == .exited(ExitCode.interrupted.rawValue), "\(resumed.output)")
        #expect(try lastStep("run") > step)
    }

    @Test func badInputIsNamedWithTheCodeOfItsKind() async throws {
        defer { world.remove() }
        func check(_ arguments: [String], _ code: ExitCode, _ texts: String...) async throws {
            let ended = try await trainer(arguments)
            #expect(ended.status == .exited(code.rawValue), "\(arguments): \(ended.output)")
            for text in texts { #expect(ended.output.contains(text), "\(arguments): \(ended.output)") }
            #expect(ended.output.split(separator: "\n").count <= 2, "one sentence: \(ended.output)")
        }
        let settings = world.folder + "/settings.conf"
        try Data("steps = 3\nlerning-rate = 1e-3\n".utf8).write(to: URL(fileURLWithPath: settings))
        let train = ["train", "encoder", world.folder + "/prepared", world.folder + "/run"]
        try await check(
            train + ["--config", settings],
            .configuration,
            "settings.conf:2: there is no key lerning-rate: did you mean learning-rate?"
        )
        try await check(train + ["--steps", "0"], .configuration, "steps: \"0\" (from --steps)", "from 1 to 100000000")
        let ranges = [("width", "8 to 8192"), ("layers", "1 to 128"), ("heads", "1 to 256"), ("length", "1 to 100000")]
        for (key, range) in ranges {
            for value in ["0", "100000000000", "\(Int.max)"] {
                let arguments = train + ["--\(key)", value, "--protocol", "window"]
                try await check(arguments, .configuration, "\(key): \"\(value)\" (from --\(key))", "from \(range)")
            }
        }
        try await check(train + ["--heads", "3"], .failure, "encoder.heads is 3, expected a divisor of the width 64")
        try await check(train + ["--protocol", "windows"], .configuration, "leave-one-out, window")
        try await check(
            ["train", "encoder", world.folder + "/nowhere", world.folder + "/run"],
            .failure,
            "/nowhere: does not exist; make it with `trainer prepare`"
        )
        let sequences = URL(fileURLWithPath: world.folder + "/prepared/sequences.bin")
        let whole = try Data(contentsOf: sequences)
        try whole.dropLast(9).write(to: sequences)
        let place = "sequences.bin: ends after \(whole.count - 9) bytes"
        try await check(train, .failure, place, "prepare the data set again")
        #expect(!FileManager.default.fileExists(atPath: world.folder + "/run"), "no folder of a run that never was")
    }
}
