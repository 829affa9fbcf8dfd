import Foundation
import Glibc
import ServiceRuntime
import Testing

@testable import Verification

/// Whether this process may mount a disk.
private func canMountDisk() async throws -> Bool {
    let folder = try LocalSystem.makeFolder()
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let disk = await FullDisk.mount(in: folder, megabytes: 1)
    await disk?.unmount()
    return disk != nil
}

/// The disk in memory that a run of faults fills is gone afterwards, also when the run is.
@Suite(
    .serialized,
    .enabled("a disk can be mounted only by root") { try await canMountDisk() }
)
struct FullDiskTests {
    private func isMounted(_ path: String) throws -> Bool {
        try String(contentsOfFile: "/proc/self/mounts", encoding: .utf8).contains(" \(path) ")
    }

    @Test func whatIsOnADiskCanBeKept() async throws {
        let folder = try LocalSystem.makeFolder()
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let disk = try #require(await FullDisk.mount(in: folder, megabytes: 8))
        try "evidence".write(toFile: "\(disk.path)/note", atomically: false, encoding: .utf8)
        try disk.fill()
        #expect(try isMounted(disk.path))
        await disk.unmount(keepingIn: "\(folder)/kept")
        #expect(try !isMounted(disk.path))
        #expect(try FileManager.default.contentsOfDirectory(atPath: "\(folder)/kept") == ["note"])
        #expect(try String(contentsOfFile: "\(folder)/kept/note", encoding: .utf8) == "evidence")
    }

    @Test(arguments: [SIGINT, SIGTERM])
    func aRunThatIsInterruptedLeavesNothing(number: Int32) async throws {
        let output = "/tmp/userllm-verify-\(UUID().uuidString).log"
        defer { try? FileManager.default.removeItem(atPath: output) }
        let child = try await ChildProcess.start(
            LocalSystem.specification("verify", ["faults", "--minutes", "1"], output: output)
        )
        func printed() -> String { (try? String(contentsOfFile: output, encoding: .utf8)) ?? "" }
        // The database has moved to the disk, and is at work there.
        try await poll("faults happen") {
            if let status = child.status { throw VerificationError("verify ended (\(status)): \(printed())") }
            return printed().split(separator: "\n").count > 2
        }
        let path = try #require(printed().firstMatch(of: /mounted at (\S+)/)?.1)
        #expect(try isMounted(String(path)))
        let status = await child.stop(signal: number, patience: .seconds(60))
        #expect(status == .exited(ExitCode.interrupted.rawValue), "\(printed())")
        #expect(try !isMounted(String(path)))
        #expect(!FileManager.default.fileExists(atPath: String(path)))
        #expect(WrongStartTests.processes(naming: String(path)) == [])
    }
}
