import Foundation
import Testing

@testable import ServiceRuntime

@Suite(.timeLimit(.minutes(15))) struct ChildProcessTests {
    /// Runs a program and gives how it ended and what it wrote.
    private func run(_ executable: String, _ arguments: [String]) async throws -> (ChildProcess.Status, String) {
        let file = FileManager.default.temporaryDirectory.appending(path: "child-\(UUID().uuidString)").path
        defer { try? FileManager.default.removeItem(atPath: file) }
        let child = try await ChildProcess.start(
            ChildProcess.Specification(
                executable: executable,
                arguments: arguments,
                environment: [:],
                outputFile: file
            )
        )
        let status = await child.ended()
        return (status, try String(contentsOfFile: file, encoding: .utf8))
    }

    @Test func aChildHasNoneOfItsParentsDescriptors() async throws {
        let pipe = Pipe()
        let inherited = dup(pipe.fileHandleForWriting.fileDescriptor)
        defer { close(inherited) }
        #expect(fcntl(inherited, F_GETFD) & FD_CLOEXEC == 0)
        let (status, output) = try await run("/bin/ls", ["/proc/self/fd"])
        #expect(status == .exited(0))
        // 3 is the folder that `ls` reads.
        #expect(output.split(separator: "\n") == ["0", "1", "2", "3"], "\(output)")
    }

    @Test func tellsHowAChildEnded() async throws {
        let (status, output) = try await run("/bin/sh", ["-c", "echo out; echo err >&2; exit 7"])
        #expect(status == .exited(7) && output == "out\nerr\n")
        #expect(try await run("/bin/sh", ["-c", "kill -9 $$"]).0 == .signalled(9))
    }
}
