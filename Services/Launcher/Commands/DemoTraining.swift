import Datasets
import Foundation
import Glibc
import ServiceRuntime

/// The demo's model: trained once on the synthetic world, then kept.
struct DemoTraining: Sendable {
    let data: String
    let bundle: String
    let seed: UInt64
    let limit: Duration

    /// The world that the model was trained on.
    func world() throws(DatasetError) -> SyntheticWorld {
        try SyntheticWorld(SyntheticWorld.Configuration(seed: seed))
    }

    /// Trains and exports the bundle if it is missing.
    ///
    /// The trainer writes checkpoints, so an interrupted demo resumes where it stopped.
    /// - Throws: `ProcessFailure` when the trainer fails.
    func makeBundleIfMissing(_ console: Console, until shutdown: Shutdown) async throws {
        if FileManager.default.fileExists(atPath: bundle) {
            console.say("using the model bundle \(bundle)")
            return
        }
        let trainer = try Programs(["trainer"]).path("trainer")
        console.say("no model bundle yet: training a small one on an invented world (kept in \(bundle))")
        let start = ContinuousClock.now
        let folder = "\(data)/training"
        try world().write(to: "\(data)/world")
        let isDone = try await run(
            trainer,
            [
                "all", "\(data)/world", folder, "--validations", "6", "--encoder-minutes", minutes(0.25),
                "--language-model-minutes",
                minutes(0.1), "--user-llm-minutes", minutes(0.65), "--evaluated-users", "0", "--resume",
            ],
            until: shutdown
        )
        guard isDone else { return }
        // Moved in one step, so that a folder of this name is always a complete bundle.
        try FileManager.default.moveItem(atPath: "\(folder)/bundle", toPath: bundle)
        console.say("trained in \(Int((ContinuousClock.now - start) / .seconds(1))) s")
    }

    /// A share of the time limit, in the trainer's format.
    private func minutes(_ share: Double) -> String { String(max(0.01, limit / .seconds(60) * share)) }

    /// Runs the trainer.
    ///
    /// - Returns: false if it was stopped before it was done.
    private func run(_ trainer: String, _ arguments: [String], until shutdown: Shutdown) async throws -> Bool {
        let child = try await ChildProcess.start(
            ChildProcess.Specification(
                executable: trainer,
                arguments: arguments + ["--parent-process", "\(getpid())"],
                environment: ProcessInfo.processInfo.environment.filter { !$0.key.hasPrefix("USERLLM_") }
            )
        )
        let status = await withTaskGroup(of: Void.self) { group in
            group.addTask {
                await shutdown.requested()
                // The trainer writes a checkpoint before it ends.
                if shutdown.isRequested { await child.stop(signal: SIGINT, patience: .seconds(20)) }
            }
            defer { group.cancelAll() }
            return await child.ended()
        }
        if shutdown.isRequested { return false }
        guard status == .exited(0) else { throw ProcessFailure("training the demo's model failed (\(status))") }
        return true
    }
}
