import Foundation
import HTTPClient
import LogAddresses
import Messages
import ServiceRuntime
import MessageLogs
import TestSupport
import Testing
import Verification

/// Programs that may have only a few files and sockets open.
@Suite(.timeLimit(.minutes(15))) struct DescriptorTests {
    /// A program under a limit of the shell.
    private func start(_ program: String, _ arguments: [String], limit: Int, output: String) async throws
        -> ChildProcess
    {
        let line = "ulimit -n \(limit); exec \"$0\" \"$@\""
        return try await ChildProcess.start(
            ChildProcess.Specification(
                executable: "/bin/sh",
                arguments: ["-c", line, "\(LocalSystem.programs)/\(program)"] + arguments,
                environment: ProcessInfo.processInfo.environment.filter { !$0.key.hasPrefix("USERLLM_") },
                outputFile: output
            )
        )
    }

    private func withFolder(_ body: (String) async throws -> Void) async throws {
        let folder = try LocalSystem.makeFolder()
        defer { try? FileManager.default.removeItem(atPath: folder) }
        try await body(folder)
    }

    @Test(arguments: [
        ("gateway", [], 256), ("event-ingestor", [], 256), ("encoder-worker", [], 256), ("embedding-writer", [], 256),
        ("llm-responder", [], 256), ("trainer", ["prepare", "/nowhere", "/nowhere"], 48), ("userllm", ["status"], 48),
    ])
    func tooFewAreToldInASentence(program: String, arguments: [String], needed: Int) async throws {
        try await withFolder { folder in
            for limit in [24, needed - 1] {
                let output = "\(folder)/\(limit)"
                let status = await (try await start(program, arguments, limit: limit, output: output)).ended()
                let text = try String(contentsOfFile: output, encoding: .utf8)
                #expect(status == .exited(ExitCode.configuration.rawValue), "\(program), \(limit): \(text)")
                #expect(text.contains("only \(limit) files") && text.contains("ulimit -n"), "\(program): \(text)")
            }
        }
    }

    /// The connections are derived from what there is, and idle ones make room, so everybody is still answered.
    @Test func aGatewayWithFewStillAnswersEverybody() async throws {
        try await withFolder { folder in
            let address = try PrivatePostgres.shared().makeDatabase()
            let log = try await openLog(address)
            try await log.createTopics(TopicSpecification.system(partitionCount: 1))
            await log.close()
            let (port, adminPort, output) = ("\(folder)/port", "\(folder)/admin-port", "\(folder)/output")
            let arguments = [
                "--log", address, "--port", "0", "--port-file", port, "--admin-port", "0", "--admin-port-file",
                adminPort,
                "--log-format", "json",
            ]
            let gateway = try await start("gateway", arguments, limit: 300, output: output)
            let (door, admin) = (try await number(in: port), try await number(in: adminPort))
            let idle = try (0..<400).map { _ in try RawConnection(port: door) }
            let idleAtAdmin = try (0..<200).map { _ in try RawConnection(port: admin) }
            for (port, path, expected) in [
                (admin, "/healthz", 200), (admin, "/metrics", 200), (door, "/v1/answers/x?wait=0", 404),
            ] {
                let request = "GET \(path) HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
                let text = try await RawConnection.exchange(request, port: port)
                #expect(text.httpStatus == expected, "\(path): \(text)")
            }
            for connection in idle + idleAtAdmin { connection.close() }
            #expect(await gateway.stop(patience: .seconds(120)) == .exited(0))
            let text = try String(contentsOfFile: output, encoding: .utf8)
            #expect(
                text.contains("fewer connections than configured") && text.contains(#""process.descriptors":"300""#)
            )
            #expect(!text.contains("no descriptor left"), "\(text)")
        }
    }

    private func number(in file: String) async throws -> Int {
        while true {
            if let text = try? String(contentsOfFile: file, encoding: .utf8), let number = Int(text.dropLast()) {
                return number
            }
            try await Task.sleep(for: .milliseconds(5))
        }
    }
}
