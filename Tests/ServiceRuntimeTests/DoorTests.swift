import Foundation
import HTTPServer
import Synchronization
import TestSupport
import Testing

@testable import ServiceRuntime

/// The page for metrics and health, and how many descriptors there are.
@Suite(.timeLimit(.minutes(15))) struct DoorTests {
    private func withAdminPage(
        _ flags: [String] = [],
        _ body: @escaping @Sendable (Int) async throws -> Void
    ) async throws -> ExitCode {
        let portFile = FileManager.default.temporaryDirectory.appending(path: "port-\(UUID().uuidString)").path
        defer { try? FileManager.default.removeItem(atPath: portFile) }
        let command = Command(summary: "Serves", keys: [], kind: .service(adminPort: 0)) { context in
            try await context.run("flow") { _ in
                var port: Int?
                while port == nil {
                    port = (try? String(contentsOfFile: portFile, encoding: .utf8)).flatMap { Int($0.dropLast()) }
                    try await Task.sleep(for: .milliseconds(5))
                }
                try await body(port ?? 0)
            }
        }
        // A stop that takes too long ends the process, which is that of all tests here.
        let own = ["--admin-port-file", portFile, "--log-level", "critical", "--shutdown-deadline", "1h"]
        return await Program("test", summary: "Tests", commands: [command]).run(own + flags, environment: [:])
    }

    private static func get(_ path: String, _ headers: String = "Host: localhost") -> String {
        "GET \(path) HTTP/1.1\r\n\(headers)\r\nConnection: close\r\n\r\n"
    }

    @Test func idleConnectionsDoNotStarveIt() async throws {
        let code = try await withAdminPage { port in
            let idle = try (0..<300).map { _ in try RawConnection(port: port) }
            for path in ["/readyz", "/metrics", "/healthz"] {
                for address in ["127.0.0.1", "127.0.0.7"] {
                    let text = try await RawConnection.exchange(Self.get(path), port: port, from: address)
                    #expect(text.hasPrefix("HTTP/1.1 200"), "\(path): \(text)")
                }
            }
            for connection in idle { connection.close() }
        }
        #expect(code == .success)
    }

    @Test func pagesOfOtherSitesReadNothing() async throws {
        let code = try await withAdminPage(["--allowed-hosts", "metrics.example, [::2]"]) { port in
            for (headers, status) in [
                ("Host: localhost", 200), ("Host: metrics.example:9100", 200), ("Host: [::2]", 200),
                ("Host: elsewhere.example", 403), ("Host: localhost\r\nOrigin: http://elsewhere.example", 403),
                ("Host: localhost\r\nSec-Fetch-Site: cross-site", 403), ("X-No: host", 400),
            ] {
                let text = try await RawConnection.exchange(Self.get("/metrics", headers), port: port)
                #expect(text.hasPrefix("HTTP/1.1 \(status)"), "\(headers): \(text)")
            }
        }
        #expect(code == .success)
        #expect(try await withAdminPage(["--allowed-hosts", "http://a"]) { _ in } == .configuration)
    }

    @Test func aKeyOfBothServersIsListedOnce() {
        let keys = HTTPConfiguration.keys(port: 1)
        let command = Command(summary: "Serves", keys: keys, kind: .service(adminPort: 0)) { _ in }
        #expect(command.keys.count { $0.name == "allowed-hosts" } == 1)
    }

    @Test func connectionsAreNoMoreThanDescriptors() throws {
        #expect(DescriptorLimit.connectionCount(wanted: 3) == 3)
        let most = DescriptorLimit.connectionCount(wanted: .max)
        #expect(most >= 8 && most < max(DescriptorLimit.count, 9))
        let before = DescriptorLimit.count
        DescriptorLimit.raise()
        #expect(DescriptorLimit.count >= before)
    }

    @Test func aMessageThatComesOftenIsWrittenRarely() {
        let message = RareMessage(interval: .seconds(60))
        let start = ContinuousClock.now
        #expect(message.isDue(at: start))
        #expect(!message.isDue(at: start) && !message.isDue(at: start + .seconds(59)))
        #expect(message.isDue(at: start + .seconds(60)))
        #expect(!message.isDue(at: start + .seconds(61)))
    }
}
