import Datasets
import Foundation
import Glibc
import Bytes
import ServiceRuntime
import Testing
import Verification

/// `userllm scale` on a system that runs over PostgreSQL, and what it refuses.
@Suite(.serialized, .system(over: .postgres)) struct ScaleTests {
    private func scale(_ flags: [String]) async throws -> (status: ChildProcess.Status, output: String) {
        let system = try SharedSystem.required().system
        return try await LocalSystem.run(["scale", "--data", system.data, "--ready-within", "10m"] + flags)
    }

    private func instances(_ name: String) throws -> [Int] {
        try SharedSystem.required().system.state().processes.filter { $0.name == name }.map(\.instance)
    }

    private func pids(_ name: String) throws -> [Int32] {
        try SharedSystem.required().system.state().processes.filter { $0.name == name }.map(\.pid)
    }

    @Test func processesComeAndGo() async throws {
        let before = try pids("encoder-worker")
        let (more, printed) = try await scale(["--encoder-workers", "4", "--gateways", "2"])
        #expect(more == .exited(0), "\(printed)")
        #expect(printed.contains("encoder-worker: 2 -> 4") && printed.contains("gateway: 1 -> 2"), "\(printed)")
        #expect(try instances("encoder-worker") == [0, 1, 2, 3])
        #expect(Array(try pids("encoder-worker").prefix(2)) == before, "the others are not started anew")
        let gateways = try SharedSystem.required().system.state().gateways
        #expect(Set(gateways).count == 2)

        let (none, same) = try await scale(["--encoder-workers", "4"])
        #expect(none == .exited(0) && same.contains("4 as before"), "\(same)")

        let gone = Array(try pids("encoder-worker").suffix(2))
        let (fewer, told) = try await scale(["--encoder-workers", "2", "--gateways", "1"])
        #expect(fewer == .exited(0) && told.contains("encoder-worker: 4 -> 2"), "\(told)")
        #expect(try pids("encoder-worker") == before)
        #expect(gone.allSatisfy { !FileManager.default.fileExists(atPath: "/proc/\($0)") })
        #expect(try SharedSystem.required().system.state().gateways == [gateways[0]])
        let (status, report) = try await LocalSystem.run(["status", "--data", SharedSystem.required().system.data])
        #expect(status == .exited(0) && !report.contains("encoder-worker 3"), "\(report)")
    }

    @Test func moreWorkersThanPartitionsStayIdle() async throws {
        let (status, printed) = try await scale(["--encoder-workers", "6"])
        #expect(status == .exited(0), "\(printed)")
        #expect(printed.contains("4 partitions") && printed.contains("2 will stay idle"), "\(printed)")
        let (back, told) = try await scale(["--encoder-workers", "2"])
        #expect(back == .exited(0), "\(told)")
    }

    @Test func aProcessThatCannotStartIsNamedAndTheOthersStay() async throws {
        let shared = try SharedSystem.required()
        let before = try pids("encoder-worker")
        try FileManager.default.moveItem(atPath: shared.bundle, toPath: "\(shared.bundle)-away")
        let (status, printed) = try await scale(["--encoder-workers", "3"])
        try FileManager.default.moveItem(atPath: "\(shared.bundle)-away", toPath: shared.bundle)
        #expect(status == .exited(ExitCode.unavailable.rawValue), "\(printed)")
        #expect(printed.contains("encoder-worker 2") && printed.contains("encoder-worker-2.log"), "\(printed)")
        #expect(try pids("encoder-worker") == before)
        let (again, told) = try await scale(["--encoder-workers", "3"])
        #expect(again == .exited(0), "\(told)")
        #expect(try await scale(["--encoder-workers", "2"]).status == .exited(0))
    }

    @Test func wrongWishesAreRefused() async throws {
        let shared = try SharedSystem.required()
        let (empty, hint) = try await scale([])
        #expect(empty == .exited(ExitCode.usage.rawValue) && hint.contains("--encoder-workers"), "\(hint)")
        let (many, range) = try await scale(["--encoder-workers", "65"])
        #expect(many != .exited(0) && range.contains("encoder-workers") && range.contains("65"), "\(range)")
        let (nobody, none) = try await LocalSystem.run(["scale", "--data", "\(shared.folder)/none", "--gateways", "1"])
        #expect(nobody == .exited(1) && none.contains("no system runs on \(shared.folder)/none"), "\(none)")
    }

    /// Who is at work holds the folder's lock, which this test does in the place of another `userllm scale`.
    @Test func ofTwoAtOnceOneIsRefused() async throws {
        do {
            let lock = try #require(try FileLock(folder: "\(SharedSystem.required().system.data)/run/scale"))
            defer { withExtendedLifetime(lock) {} }
            let (status, output) = try await scale(["--embedding-writers", "2"])
            #expect(status == .exited(ExitCode.unavailable.rawValue) && output.contains("another `userllm scale`"))
            #expect(try instances("embedding-writer") == [0])
        }
        #expect(try await scale(["--embedding-writers", "2"]).status == .exited(0))
        #expect(try instances("embedding-writer") == [0, 1])
        #expect(try await scale(["--embedding-writers", "1"]).status == .exited(0))
    }
}

/// What ends while it is being scaled.
@Suite(.serialized) struct ScaleInterruptionTests {
    /// The process that accepts the connections of a system's private database.
    private func databaseServer(of system: LocalSystem) throws -> Int32 {
        let file = try String(contentsOfFile: "\(system.data)/database/postmaster.pid", encoding: .utf8)
        return try #require(Int32(file.prefix { $0 != "\n" }))
    }

    @Test func ctrlCEndsEverythingAlsoWhileNewProcessesStart() async throws {
        let folder = try LocalSystem.makeFolder()
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let bundle = "\(folder)/bundle"
        try SmallBundle.write(to: bundle, catalogue: SyntheticWorld().catalogue)
        let system = try await LocalSystem.start(.init(bundle: bundle), in: folder)
        // Without a database that takes connections no new worker gets ready, however slow this test is.
        let database = try databaseServer(of: system)
        #expect(kill(database, SIGSTOP) == 0)
        defer { kill(database, SIGCONT) }
        async let scaled = LocalSystem.run(["scale", "--data", system.data, "--encoder-workers", "6"])
        try await poll("a new worker is there", every: .milliseconds(5)) {
            try system.state().processes.count { $0.name == "encoder-worker" } > 1
        }
        async let stopped = system.stop()
        let (status, printed) = try await scaled
        #expect(status == .exited(ExitCode.unavailable.rawValue), "\(printed)")
        #expect(printed.contains("stopped") || printed.contains("ended"), "\(printed)")
        // On a slow machine the stop's own limit may have ended the database already.
        kill(database, SIGCONT)
        #expect(await stopped == .exited(0), "\(system.printed)")
        #expect(WrongStartTests.processes(naming: folder) == [])

        // The flags of the next start hold, not the wish.
        let next = try await LocalSystem.start(.init(bundle: bundle), in: folder)
        #expect(try next.state().processes.count { $0.name == "encoder-worker" } == 1)
        #expect(await next.stop() == .exited(0))
    }
}
