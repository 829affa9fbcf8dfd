import Foundation
import ServiceRuntime
import Testing

@testable import Launcher

/// Real processes in a stage that runs: some come, some go, and all end with it.
@Suite struct ProcessStageTests {
    private struct Bench {
        let folder: String
        let keeper: StateKeeper
        let stage = ProcessStage("test")

        init(instances: Int) throws {
            folder = NSTemporaryDirectory() + "stage-\(UUID().uuidString)"
            try FileManager.default.createDirectory(
                atPath: SystemState.folder(in: folder),
                withIntermediateDirectories: true
            )
            let state = SystemState(
                launcher: 1,
                log: "",
                database: "",
                bundle: "",
                modelVersion: "",
                gateways: [],
                ingestors: [],
                isUp: false,
                processes: (0..<instances).map { .init(name: "sh", instance: $0, pid: 0, restarts: 0) }
            )
            keeper = try StateKeeper(state, folder: folder)
        }

        func process(_ instance: Int, _ script: String = "exec sleep 600", wasReady: Flag = Flag()) -> SupervisedProcess
        {
            SupervisedProcess(
                .init(
                    name: "sh",
                    instance: instance,
                    specification: .init(
                        executable: "/bin/sh",
                        arguments: ["-c", script],
                        environment: ["PATH": "/bin:/usr/bin"],
                        outputFile: "\(folder)/\(instance).log"
                    )
                ),
                keeper: keeper,
                console: Console(toStandardError: true),
                isUp: wasReady
            )
        }

        func pid(_ instance: Int) -> Int32 {
            SystemState.read(from: folder)?.processes.first { $0.instance == instance }?.pid ?? 0
        }

        func waitUntilRunning(_ instance: Int) async throws {
            while pid(instance) == 0 { try await Task.sleep(for: .milliseconds(10)) }
        }
    }

    private func exists(_ pid: Int32) -> Bool { FileManager.default.fileExists(atPath: "/proc/\(pid)") }

    @Test(.timeLimit(.minutes(15))) func processesComeAndGoWhileOthersStay() async throws {
        let bench = try Bench(instances: 3)
        defer { try? FileManager.default.removeItem(atPath: bench.folder) }
        let shutdown = Shutdown()
        async let ended: Void = bench.stage.run(until: shutdown)
        _ = try #require(bench.stage.add(bench.process(0), isEssential: true))
        let second = try #require(bench.stage.add(bench.process(1), isEssential: false))
        try await bench.waitUntilRunning(0)
        try await bench.waitUntilRunning(1)
        let (first, gone) = (bench.pid(0), bench.pid(1))

        second.requestStop()
        await second.waitUntilEnded()
        #expect(!exists(gone) && second.failure == nil && !second.wasKilled)
        #expect(exists(first) && bench.pid(0) == first)

        _ = try #require(bench.stage.add(bench.process(2), isEssential: false))
        try await bench.waitUntilRunning(2)
        let third = bench.pid(2)
        shutdown.request()
        try await ended
        #expect(!exists(first) && !exists(third))
        #expect(bench.stage.add(bench.process(1), isEssential: false) == nil)
    }

    @Test(.timeLimit(.minutes(15))) func onlyTheFailureOfAnEssentialProcessEndsTheStage() async throws {
        let bench = try Bench(instances: 3)
        defer { try? FileManager.default.removeItem(atPath: bench.folder) }
        let shutdown = Shutdown()
        let wrong = "echo '{\"message\":\"no\",\"error\":\"a wrong word\"}'; exit \(ExitCode.usage.rawValue)"
        async let ended: Void = bench.stage.run(until: shutdown)
        _ = try #require(bench.stage.add(bench.process(0), isEssential: true))
        let added = try #require(bench.stage.add(bench.process(1, wrong), isEssential: false))
        await added.waitUntilEnded()
        #expect("\(try #require(added.failure))".contains("a wrong word"))
        #expect(!shutdown.isRequested)
        try await bench.waitUntilRunning(0)

        _ = try #require(bench.stage.add(bench.process(2, wrong), isEssential: true))
        var thrown: (any Error)?
        do { try await ended } catch { thrown = error }
        #expect(thrown is ProcessFailure)
        #expect(bench.pid(0) == 0)
    }
}

@Suite struct ScaleFilesTests {
    @Test func aNewLauncherForgetsTheWishesOfTheLast() throws {
        let data = NSTemporaryDirectory() + "scale-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: data) }
        let files = ScaleFiles(data: data)
        try files.clear()
        #expect(files.request == nil && files.answer == nil)
        try files.write(ScaleRequest(id: "a", counts: ["gateway": 2], readyWithin: 3))
        try files.write(ScaleAnswer(id: "a", isDone: true, lines: ["one"], problems: []))
        #expect(files.request?.counts == ["gateway": 2])
        #expect(files.answer?.lines == ["one"])
        try Data("{\"id\":".utf8).write(to: URL(filePath: "\(files.folder)/request.json"))
        #expect(files.request == nil)
        try files.clear()
        #expect(files.answer == nil)
    }
}
