import Datasets
import Foundation
import Glibc
import ServiceRuntime
import Testing

@testable import Verification

/// Data folders as an unlucky day leaves them.
///
/// The database's disk is away, a start was killed, a folder cannot be written: what is there is never overwritten, and
/// every refusal says what to do.
@Suite(.serialized) struct DataFolderTests {
    private func withFolder(_ body: (_ folder: String, _ bundle: String) async throws -> Void) async throws {
        let folder = try LocalSystem.makeFolder()
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let bundle = "\(folder)/bundle"
        try SmallBundle.write(to: bundle, catalogue: SyntheticWorld().catalogue)
        try await body(folder, bundle)
    }

    /// Runs `userllm up`, which must end by itself with a sentence.
    private func refusal(_ bundle: String, data: String) async throws -> String {
        let (status, output) = try await LocalSystem.run(LocalSystem.upArguments(.init(bundle: bundle), data: data))
        #expect(status == .exited(ExitCode.configuration.rawValue), "\(status): \(output)")
        #expect(!output.contains("Domain") && !output.contains("Code="), "\(output)")
        #expect(WrongStartTests.processes(naming: data) == [])
        return output
    }

    private func upAndDown(_ bundle: String, in folder: String) async throws {
        let system = try await LocalSystem.start(.init(bundle: bundle), in: folder)
        #expect(await system.stop() == .exited(0), "\(system.printed)")
    }

    /// Moved away and linked to, as people do who give the database a disk of its own; then that is not mounted.
    @Test func aDatabaseWhoseDiskIsAwayIsMissedAndFoundAgain() async throws {
        try await withFolder { folder, bundle in
            try await upAndDown(bundle, in: folder)
            let (data, disk) = ("\(folder)/data", "\(folder)/disk")
            let password = try String(contentsOfFile: "\(data)/database-password", encoding: .utf8)
            try FileManager.default.moveItem(atPath: "\(data)/database", toPath: disk)

            let gone = try await refusal(bundle, data: data)
            #expect(gone.contains("is not in \(data)/database") && gone.contains("mount"), "\(gone)")
            try FileManager.default.createSymbolicLink(atPath: "\(data)/database", withDestinationPath: "\(disk)-away")
            let dangling = try await refusal(bundle, data: data)
            #expect(dangling.contains("\(disk)-away") && dangling.contains("mount"), "\(dangling)")
            try FileManager.default.removeItem(atPath: "\(data)/database")
            try FileManager.default.createDirectory(atPath: "\(data)/database", withIntermediateDirectories: false)
            let unmounted = try await refusal(bundle, data: data)
            #expect(unmounted.contains("folder without a database"), "\(unmounted)")

            try FileManager.default.removeItem(atPath: "\(data)/database")
            try FileManager.default.createSymbolicLink(atPath: "\(data)/database", withDestinationPath: disk)
            #expect(try String(contentsOfFile: "\(data)/database-password", encoding: .utf8) == password)
            try await upAndDown(bundle, in: folder)
        }
    }

    @Test func aStartThatIsKilledWhileTheDatabaseIsMadeIsMadeUpForByTheNext() async throws {
        try await withFolder { folder, bundle in
            let data = "\(folder)/data"
            for name in ["database.new", "database.new/PG_VERSION", "database.new/global/pg_control"] {
                let child = try await ChildProcess.start(
                    LocalSystem.specification(
                        "userllm",
                        LocalSystem.upArguments(.init(bundle: bundle), data: data),
                        output: "\(folder)/up.log"
                    )
                )
                try await poll("\(name) is there", every: .milliseconds(1)) {
                    // It may have gone on to the end of making it meanwhile.
                    ["\(data)/\(name)", "\(data)/database"].contains { FileManager.default.fileExists(atPath: $0) }
                }
                child.signal(SIGKILL)
                await child.ended()
            }
            try await upAndDown(bundle, in: folder)
            #expect(!FileManager.default.fileExists(atPath: "\(data)/database.new"))
        }
    }

    @Test func whatIsNoFolderOrCannotBeWrittenIsNamedWithTheReason() async throws {
        try await withFolder { folder, bundle in
            try Data().write(to: URL(filePath: "\(folder)/file"))
            let file = try await refusal(bundle, data: "\(folder)/file")
            #expect(file.contains("\(folder)/file is no folder") && file.contains("--data"), "\(file)")
            let below = try await refusal(bundle, data: "\(folder)/file/below")
            #expect(below.contains("Not a directory"), "\(below)")
            try FileManager.default.createSymbolicLink(atPath: "\(folder)/link", withDestinationPath: "\(folder)/gone")
            let link = try await refusal(bundle, data: "\(folder)/link")
            #expect(link.contains("a link to \(folder)/gone"), "\(link)")
            guard let disk = await FullDisk.mount(in: folder, megabytes: 1) else { return }
            #expect(mount("", disk.path, "", UInt(MS_REMOUNT) | UInt(MS_RDONLY), nil) == 0)
            let readOnly = try await refusal(bundle, data: "\(disk.path)/data")
            await disk.unmount()
            #expect(readOnly.contains("Read-only file system"), "\(readOnly)")
        }
    }

    /// The folder's path may be longer than a socket's name can be.
    @Test func aLongPathAndOneWithACommaWork() async throws {
        try await withFolder { folder, bundle in
            let long = "\(folder)/\(String(repeating: "long-", count: 30)), and a comma"
            try FileManager.default.createDirectory(atPath: long, withIntermediateDirectories: true)
            try await upAndDown(bundle, in: long)
        }
    }

    @Test(arguments: [SIGHUP, SIGTERM])
    func theLauncherEndsInOrderWhenItsTerminalGoes(number: Int32) async throws {
        try await withFolder { folder, bundle in
            let system = try await LocalSystem.start(.init(bundle: bundle), in: folder)
            let database = try #require(system.state().processes.first { $0.name == "database" })
            // Nobody but the server's own user can come near it.
            let gateway = try #require(system.state().processes.first { $0.name == "gateway" })
            // The kernel's table is read in pieces, and a socket may be missed while others come and go.
            var ports: [Substring] = []
            for _ in 0..<600 where ports.isEmpty {
                ports = Self.listeningPorts(of: gateway.pid)
                if ports.isEmpty { try await Task.sleep(for: .milliseconds(50)) }
            }
            #expect(!ports.isEmpty, "what this test looks at is there")
            #expect(Self.listeningPorts(of: database.pid) == [])
            #expect(await system.stop(signal: number) == .exited(0), "\(system.printed)")
            #expect(system.printed.contains("stopped"), "\(system.printed)")
            #expect(WrongStartTests.processes(naming: folder) == [])
            #expect(SystemFiles.read("\(folder)/data") == nil)
        }
    }

    /// TCP ports on which a process listens.
    private static func listeningPorts(of pid: Int32) -> [Substring] {
        var listening: [(port: Substring, inode: Substring)] = []
        for name in ["tcp", "tcp6"] {
            let table = (try? String(contentsOfFile: "/proc/\(pid)/net/\(name)", encoding: .utf8)) ?? ""
            for line in table.split(separator: "\n") {
                let columns = line.split(separator: " ")
                if columns.count > 9, columns[3] == "0A" { listening.append((columns[1], columns[9])) }
            }
        }
        let folder = "/proc/\(pid)/fd"
        let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
        let targets = names.compactMap { try? FileManager.default.destinationOfSymbolicLink(atPath: "\(folder)/\($0)") }
        return listening.filter { targets.contains("socket:[\($0.inode)]") }.map { $0.port }
    }
}
