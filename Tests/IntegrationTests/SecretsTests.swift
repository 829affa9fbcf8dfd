import Datasets
import Foundation
import HTTPClient
import ServiceRuntime
import Testing
import Verification

/// A secret in every place where a program takes one, with everything wrong that people do.
///
/// It is in nothing that the programs print, and in no command line that others can see.
@Suite struct SecretsTests {
    private static let secret = "S3cR3t-C4n4ry"

    private static let commands: [(program: String, words: [String], keys: [String])] = [
        ("event-ingestor", [], ["log"]), ("encoder-worker", [], ["log"]),
        ("embedding-writer", [], ["log", "database"]), ("llm-responder", [], ["log", "database"]),
        ("gateway", [], ["log"]), ("event-ingestor", ["import", "/nowhere/events.ndjson"], ["log"]),
        ("event-ingestor", ["replay-rejected"], ["log"]), ("userllm", ["up"], ["log", "database"]),
    ]

    /// Port 1 refuses at once, so that each of these ends.
    private static let addresses = [
        "postgresql://u:\(secret)@127.0.0.1:1/db", "postgress://u:\(secret)@127.0.0.1:1/db",
        "postgresql://u:a/\(secret)@127.0.0.1:1/db", "postgresql://u:\(secret)@x@127.0.0.1:1/db",
        "postgresql://u:\(secret)%@127.0.0.1:1/db", "postgresql://u:\(secret)%zz@127.0.0.1:1/db",
        "postgresql://u:12/\(secret)@127.0.0.1:1/db", "postgresql://u@127.0.0.1:1/db?password=\(secret)",
        "postgresql://u@127.0.0.1:1/db?pasword=\(secret)", "postgresql://127.0.0.1:\(secret)/db",
        "host=127.0.0.1 port=1 password=\(secret)", "host=127.0.0.1 port=1 password=a \(secret)",
        "host=127.0.0.1 port=1 password='\(secret)", "kafka://u:\(secret)@127.0.0.1:1", "kafka://127.0.0.1:\(secret)",
        "kafka://127.0.0.1:1?sasl.pasword=\(secret)", "kafka://127.0.0.1:1?\(secret)",
        "kafka://127.0.0.1:1?retry.backoff.ms=\(secret)",
        "kafka://127.0.0.1:1?security.protocol=ssl&ssl.key.pem=\(secret)",
        "kafka://127.0.0.1:1?security.protocol=ssl&ssl.certificate.pem=\(secret)&ssl.key.pem=x",
        "kafka://127.0.0.1:1?sasl.password=a&\(secret)=x",
        "kafka://127.0.0.1:1?sasl.oauthbearer.config=\(secret)&x=%zz",
        secret, "",
    ]

    /// How a setting reaches a program.
    enum Way: CaseIterable { case flag, environment, file, fileWithoutEquals }

    @Test(arguments: Way.allCases)
    func areInNothingThatIsPrinted(way: Way) async throws {
        let folder = try LocalSystem.makeFolder()
        defer { try? FileManager.default.removeItem(atPath: folder) }
        try SmallBundle.write(to: "\(folder)/bundle", catalogue: SyntheticWorld().catalogue)
        for (index, address) in Self.addresses.enumerated() {
            // Each address meets each kind of command by and by; a way through all of them takes minutes.
            let command = Self.commands[index % Self.commands.count]
            for key in command.keys {
                let output = try await run(command.program, command.words, key, address, way, in: folder)
                #expect(!output.contains(Self.secret), "\(command.program) \(key) \(address): \(output)")
            }
        }
    }

    private func run(
        _ program: String,
        _ words: [String],
        _ key: String,
        _ address: String,
        _ way: Way,
        in folder: String
    ) async throws -> String {
        let output = "\(folder)/\(UUID().uuidString).log"
        var words = words
        var environment = ["USERLLM_LOG": "postgresql://u@127.0.0.1:1/db"]
        if program == "userllm" { words += ["--data", "\(folder)/data", "--bundle", "\(folder)/bundle"] }
        switch way {
        case .flag:
            environment = [:]
            words += ["--\(key)=\(address)"]
        case .environment: environment["USERLLM_\(key.uppercased())"] = address
        case .file, .fileWithoutEquals:
            let file = "\(folder)/\(UUID().uuidString).conf"
            let line = way == .file ? "\(key) = \(address)" : "\(key) \(address.replacing("=", with: " "))"
            try "# settings\n\(line)\n".write(toFile: file, atomically: false, encoding: .utf8)
            environment = [:]
            words += ["--config", file]
        }
        if program == "encoder-worker" || program == "llm-responder" { words += ["--bundle", "\(folder)/bundle"] }
        if program != "userllm", !words.contains("import"), !words.contains("replay-rejected") {
            words += ["--admin-port", "0"]
        }
        let specification = LocalSystem.specification(program, words, environment: environment, output: output)
        let child = try await ChildProcess.start(specification)
        // What goes on trying is asked to end.
        let end = ContinuousClock.now + .seconds(20)
        while child.status == nil, ContinuousClock.now < end { try await Task.sleep(for: .milliseconds(20)) }
        await child.stop(patience: longestWait)
        let text = try String(contentsOfFile: output, encoding: .utf8)
        #expect(!text.isEmpty, "\(program) \(words)")
        return text
    }

    /// Addresses reach the services through their environment, which others cannot see.
    @Test func areInNoCommandLineAndNoFileThatOthersCanRead() async throws {
        let folder = try LocalSystem.makeFolder()
        defer { try? FileManager.default.removeItem(atPath: folder) }
        try SmallBundle.write(to: "\(folder)/bundle", catalogue: SyntheticWorld().catalogue)
        let system = try await LocalSystem.start(.init(bundle: "\(folder)/bundle"), in: folder)
        let password = try #require(URLComponents(string: try system.state().database)?.password)
        #expect(password.count > 20)
        for name in try FileManager.default.contentsOfDirectory(atPath: "/proc") where Int(name) != nil {
            let line = FileManager.default.contents(atPath: "/proc/\(name)/cmdline") ?? Data()
            #expect(!String(decoding: line, as: UTF8.self).contains(password))
        }
        var pages = system.printed
        for process in try system.state().processes {
            guard let port = process.adminPort else { continue }
            for path in ["metrics", "readyz", "healthz"] {
                pages += try await HTTPClient().send(.init("GET", "http://127.0.0.1:\(port)/\(path)")).text
            }
        }
        let (_, status) = try await LocalSystem.run(["status", "--data", system.data])
        let (_, json) = try await LocalSystem.run(["status", "--data", system.data, "--json"])
        #expect(!(pages + status + json).contains(password))
        try checkFiles(in: system.data, password)
        #expect(await system.stop() == .exited(0))
    }

    /// What others may read has no password; logs are for the group, the rest for the user alone.
    private func checkFiles(in data: String, _ password: String) throws {
        let files = FileManager.default
        for name in try files.contentsOfDirectory(atPath: "\(data)/logs") {
            let path = "\(data)/logs/\(name)"
            let mode = try #require(files.attributesOfItem(atPath: path)[.posixPermissions] as? Int)
            #expect(mode & 0o137 == 0, "\(name) has mode \(String(mode, radix: 8))")
            #expect(
                !String(decoding: files.contents(atPath: path) ?? Data(), as: UTF8.self).contains(password),
                "\(name)"
            )
        }
        for (name, allowed) in [("run", 0o700), ("socket", 0o700), ("database", 0o700), ("database-password", 0o600)] {
            let mode = try files.attributesOfItem(atPath: "\(data)/\(name)")[.posixPermissions] as? Int
            #expect(mode == allowed, "\(name)")
        }
        #expect(try files.attributesOfItem(atPath: "\(data)/run/state.json")[.posixPermissions] as? Int == 0o600)
    }
}
