import Foundation
import HTTPClient
import HTTPServer
import Synchronization
import Testing

@testable import ServiceRuntime

@Suite struct ProgramTests {
    private func run(_ words: [String], _ body: @escaping @Sendable (ProcessContext) async throws -> Void) async
        -> ExitCode
    {
        let command = Command(summary: "Serves", keys: [], kind: .service(adminPort: 0), run: body)
        // A stop that takes too long ends the process, which is that of all tests here.
        return await Program("test", summary: "Tests", commands: [command])
            .run(words + ["--shutdown-deadline", "1h"], environment: [:])
    }

    @Test func endsWithTheCodeOfWhatWentWrong() async {
        #expect(await run(["--nonsense"]) { _ in } == .usage)
        #expect(await run(["--log-level", "loud"]) { _ in } == .configuration)
        #expect(
            await run(["--log-level", "critical"]) { _ in throw ProcessFailure("no broker", exitCode: .unavailable) }
                == .unavailable
        )
        #expect(await run([]) { _ in } == .success)
    }

    @Test func servesMetricsHealthAndReadiness() async throws {
        let portFile = FileManager.default.temporaryDirectory.appending(path: "port-\(UUID().uuidString)").path
        defer { try? FileManager.default.removeItem(atPath: portFile) }
        let seen = Recorder()
        let code = await run(["--admin-port-file", portFile, "--log-level", "critical"]) { context in
            let condition = context.health.condition("log reachable", waitingFor: "not connected yet")
            context.metrics.counter("userllm_test_things_total", help: "Things").increment()
            try await context.run("flow") { _ in
                let port = try await Self.port(in: portFile)
                let client = HTTPClient()
                let url = "http://127.0.0.1:\(port)"
                let before = try await client.send(HTTPClientRequest("GET", "\(url)/readyz"))
                seen.note("\(before.status) \(before.text)")
                condition.holds()
                seen.note("\(try await client.send(HTTPClientRequest("GET", "\(url)/readyz")).status)")
                seen.note("\(try await client.send(HTTPClientRequest("GET", "\(url)/healthz")).status)")
                seen.note(try await client.send(HTTPClientRequest("GET", "\(url)/metrics")).text)
            }
        }
        #expect(code == .success)
        let lines = seen.lines
        try #require(lines.count == 4)
        #expect(lines[0] == "503 {\"status\":\"not ready\",\"conditions\":{\"log reachable\":\"not connected yet\"}}\n")
        #expect(lines[1] == "200" && lines[2] == "200")
        #expect(lines[3].contains("userllm_test_things_total 1"))
    }

    @Test func namesThePortThatIsTakenAndItsKey() async throws {
        let other = try HTTPServer(HTTPServerConfiguration(), handler: { _ in .text("") })
        let service = HTTPService(
            "http",
            configuration: HTTPServerConfiguration(port: other.port),
            portKey: "port",
            portFile: nil,
            logger: Logger(label: "test", handler: Recorder()),
            handler: { _ in .text("") }
        )
        let error = await #expect(throws: ProcessFailure.self) { try await service.run(until: Shutdown()) }
        let text = try #require(error?.description)
        #expect(text.contains("port \(other.port)") && text.contains("--port"))
    }

    private static func port(in file: String) async throws -> Int {
        while true {
            if let text = try? String(contentsOfFile: file, encoding: .utf8), let port = Int(text.dropLast()) {
                return port
            }
            try await Task.sleep(for: .milliseconds(5))
        }
    }
}
