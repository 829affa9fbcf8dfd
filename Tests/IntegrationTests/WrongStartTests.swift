import Datasets
import Foundation
import Glibc
import Bytes
import Messages
import ServiceRuntime
import SystemClient
import Testing
import Verification

/// Starts that must be refused with a clear error, before anything of the system runs.
@Suite(.serialized) struct WrongStartTests {
    /// Runs `userllm up`, which must end by itself, and gives what it printed; nothing may be left running.
    private func refusal(_ options: LocalSystem.Options, data: String) async throws -> String {
        let (status, output) = try await LocalSystem.run(LocalSystem.upArguments(options, data: data))
        #expect(status != .exited(0))
        if case .signalled(let number) = status { Issue.record("ended by signal \(number): \(output)") }
        #expect(Self.processes(naming: data) == [])
        #expect(SystemFiles.read(data) == nil)
        return output
    }

    /// Command lines of running processes that name a folder.
    static func processes(naming folder: String) -> [String] {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
        return names.filter { Int($0) != nil }.compactMap { name in
            guard let bytes = FileManager.default.contents(atPath: "/proc/\(name)/cmdline") else { return nil }
            let line = String(decoding: bytes.map { $0 == 0 ? UInt8(ascii: " ") : $0 }, as: UTF8.self)
            return line.contains(folder) ? line : nil
        }
    }

    private func withFolder(_ body: (_ folder: String, _ bundle: String) async throws -> Void) async throws {
        let folder = try LocalSystem.makeFolder()
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let bundle = "\(folder)/bundle"
        try SmallBundle.write(to: bundle, catalogue: SyntheticWorld().catalogue)
        try await body(folder, bundle)
    }

    @Test func aBundleThatIsMissingOrHalfWritten() async throws {
        try await withFolder { folder, bundle in
            let nowhere = "\(folder)/nowhere"
            let missing = try await refusal(.init(bundle: nowhere), data: "\(folder)/data")
            #expect(missing.contains(nowhere) && missing.contains("--bundle"))
            try FileManager.default.removeItem(atPath: "\(bundle)/encoder/model.safetensors")
            let half = try await refusal(.init(bundle: bundle), data: "\(folder)/data")
            #expect(half.contains("encoder/model.safetensors"))
            #expect(!FileManager.default.fileExists(atPath: "\(folder)/data/database"))
        }
    }

    @Test func aBundleOfAnotherVersionThanTheRows() async throws {
        try await withFolder { folder, bundle in
            let system = try await LocalSystem.start(.init(bundle: bundle), in: folder)
            let world = try SyntheticWorld()
            try await system.client().send(Array(world.viewer(0).events.prefix(3)))
            let table = try system.state()
            let source = table.modelVersion
            try await FreshnessVerification(system, world: world, count: 1, users: 1).run().mismatches.forEach {
                Issue.record("\($0)")
            }
            await system.stop()

            let other = "\(folder)/other"
            let version = try SmallBundle.write(to: other, catalogue: world.catalogue, seed: 2)
            let output = try await refusal(.init(bundle: other), data: "\(folder)/data")
            #expect(output.contains(source) && output.contains(version))
            #expect(output.contains("--accept-new-model"))

            var options = LocalSystem.Options(bundle: other)
            options.further = ["--accept-new-model"]
            let accepted = try await LocalSystem.start(options, in: folder)
            let result = try await FreshnessVerification(accepted, world: world, count: 2, users: 1).run()
            #expect(result.mismatches == [])
            #expect(await accepted.stop() == .exited(0))
        }
    }

    @Test func aPortThatIsTaken() async throws {
        try await withFolder { folder, bundle in
            let system = try await LocalSystem.start(.init(bundle: bundle), in: folder)
            let port = try #require(system.state().gateways[0].split(separator: ":").last)
            var options = LocalSystem.Options(bundle: bundle)
            let words = LocalSystem.upArguments(options, data: "\(folder)/second")
            options.further = []
            let arguments = zip(words, [""] + words).map { $1 == "--gateway-port" ? String(port) : $0 }
            let (status, output) = try await LocalSystem.run(arguments)
            #expect(status == .exited(ExitCode.unavailable.rawValue))
            #expect(output.contains("port \(port)") && output.contains("--gateway-port"))
            #expect(Self.processes(naming: "\(folder)/second") == [])

            let (again, refused) = try await LocalSystem.run(
                LocalSystem.upArguments(.init(bundle: bundle), data: "\(folder)/data")
            )
            #expect(again == .exited(ExitCode.unavailable.rawValue))
            #expect(refused.contains("another userllm") && refused.contains("\(system.launcher)"))
            #expect(await system.stop() == .exited(0))
            #expect(Self.processes(naming: folder) == [])
        }
    }

    @Test func noBrokerAndNoDatabase() async throws {
        try await withFolder { folder, bundle in
            let claim = try PortClaim()
            defer { withExtendedLifetime(claim) {} }
            let port = claim.port
            let broker = try await refusal(
                .init(log: "kafka://127.0.0.1:\(port)", bundle: bundle),
                data: "\(folder)/data"
            )
            #expect(broker.contains("kafka://127.0.0.1:\(port)") && broker.contains("nothing was started"))
            #expect(!FileManager.default.fileExists(atPath: "\(folder)/data/database"))
            var options = LocalSystem.Options(bundle: bundle)
            options.further = ["--database", "postgresql://me:secret@127.0.0.1:\(port)/db"]
            let database = try await refusal(options, data: "\(folder)/data")
            #expect(database.contains("127.0.0.1:\(port)") && !database.contains("secret"))
        }
    }

    @Test func aDataFolderOfAnotherPostgresVersion() async throws {
        try await withFolder { folder, bundle in
            try FileManager.default.createDirectory(
                atPath: "\(folder)/data/database",
                withIntermediateDirectories: true
            )
            try "9.6\n".write(toFile: "\(folder)/data/database/PG_VERSION", atomically: true, encoding: .utf8)
            let output = try await refusal(.init(bundle: bundle), data: "\(folder)/data")
            #expect(output.contains("PostgreSQL 9.6") && output.contains("--data"))
        }
    }

    @Test(.enabled(if: OperatingSystemUser.isRoot, "only root's database runs as another user"))
    func aDataFolderThatTheDatabasesUserCannotEnter() async throws {
        try await withFolder { folder, bundle in
            try FileManager.default.createDirectory(
                atPath: "\(folder)/closed",
                withIntermediateDirectories: true,
                attributes: [.posixPermissions: 0o700]
            )
            let output = try await refusal(.init(bundle: bundle), data: "\(folder)/closed/data")
            #expect(output.contains("postgres") && output.contains("--data"), "\(output)")
        }
    }

    @Test func aLauncherThatWasKilledLeavesNothingRunningAndStartsAgain() async throws {
        try await withFolder { folder, bundle in
            let system = try await LocalSystem.start(.init(bundle: bundle), in: folder)
            let world = try SyntheticWorld()
            try await system.client().send(Array(world.viewer(0).events.prefix(5)))
            await system.killLauncher()
            try await poll("no process of the system is left") {
                Self.processes(naming: folder).isEmpty
            }
            let again = try await LocalSystem.start(.init(bundle: bundle), in: folder)
            try await again.client().send(Array(world.viewer(0).events.dropFirst(5).prefix(2)))
            let question = Scenarios.question(world.viewer(0).id, knowing: 7)
            #expect(try await again.client().ask(question).eventCount == 7)
            #expect(await again.stop() == .exited(0))
            #expect(Self.processes(naming: folder) == [])
        }
    }
}
