import Foundation
import ServiceRuntime
import Testing

@testable import Launcher

@Suite struct PostgresProgramsTests {
    private let installed = [
        PostgresPrograms(folder: "/usr/lib/postgresql/15/bin", version: 15),
        PostgresPrograms(folder: "/usr/lib/postgresql/13/bin", version: 13),
    ]

    private func withCluster(_ version: String?, _ body: (String) throws -> Void) throws {
        let folder = NSTemporaryDirectory() + "launcher-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        try version?.write(toFile: "\(folder)/PG_VERSION", atomically: true, encoding: .utf8)
        try body(folder)
    }

    @Test func aClusterIsRunByItsOwnVersion() throws {
        try withCluster("13\n") { folder in
            let programs = try PostgresPrograms.forCluster(in: folder, installed: installed)
            #expect(programs.version == 13)
        }
        try withCluster(nil) { folder in
            let programs = try PostgresPrograms.forCluster(in: folder, installed: installed)
            #expect(programs.version == 15)
        }
    }

    @Test func aClusterOfAnotherVersionIsRefused() throws {
        try withCluster("14\n") { folder in
            let error = #expect(throws: ProcessFailure.self) {
                try PostgresPrograms.forCluster(in: folder, installed: installed)
            }
            #expect(error?.description.contains("PostgreSQL 14; installed is 15, 13") == true)
            #expect(error?.description.contains("postgresql-14") == true)
        }
    }

    @Test func withoutAServerItSaysWhatToInstall() throws {
        try withCluster(nil) { folder in
            let error = #expect(throws: ProcessFailure.self) {
                try PostgresPrograms.forCluster(in: folder, installed: [])
            }
            #expect(error?.description.contains("Deploy/install-packages") == true)
        }
    }
}

@Suite struct MetricsPageTests {
    @Test func quantilesOfSeveralPagesTogether() {
        let pages = [
            MetricsPage(
                text: """
                    # TYPE a_seconds histogram
                    a_seconds_bucket{le="0.01"} 10
                    a_seconds_bucket{le="0.1"} 50
                    a_seconds_bucket{le="+Inf"} 50
                    a_seconds_count 50
                    b_seconds_bucket{le="+Inf"} 7
                    """
            ),
            MetricsPage(
                text: """
                    a_seconds_bucket{le="0.01"} 45
                    a_seconds_bucket{le="0.1"} 48
                    a_seconds_bucket{le="+Inf"} 50
                    """
            ),
        ]
        let quantiles = MetricsPage.quantiles(of: "a_seconds", in: pages)
        #expect(quantiles == MetricsPage.Quantiles(count: 100, p50: 0.01, p99: 0.1))
        #expect(MetricsPage.quantiles(of: "c_seconds", in: pages) == nil)
    }
}

@Suite struct TextTableTests {
    @Test func alignsColumns() {
        var table = TextTable(["name", "count"], rightAligned: [1])
        table.add(["a", "5"])
        table.add(["longer", "1234567"])
        #expect(
            table.text == """
                name      count
                ------  -------
                a             5
                longer  1234567
                """
        )
    }
}

@Suite struct LogTailTests {
    @Test func readsTheErrorOfTheLastLine() throws {
        let path = NSTemporaryDirectory() + "log-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: path) }
        try "first\n{\"message\":\"ended\",\"error\":\"no \\\"room\\\"\"}\n".write(
            toFile: path,
            atomically: true,
            encoding: .utf8
        )
        #expect(LogTail.readable(LogTail.lastLine(of: path)) == "ended: no \"room\"")
        #expect(LogTail.readable("plain text") == "plain text")
        #expect(LogTail.lastLine(of: "\(path)-missing").contains("empty"))
    }
}

@Suite struct SystemConfigurationTests {
    private func configuration(_ flags: [String: String]) throws -> SystemConfiguration {
        try SystemConfiguration(
            reader: ConfigurationReader(keys: SystemConfiguration.keys, flags: flags, environment: [:], file: nil)
        )
    }

    @Test func hasDefaultsForEverything() throws {
        let configuration = try configuration(["data": "/srv/u"])
        #expect(configuration.bundle == "/srv/u/bundle")
        #expect(configuration.log == nil && configuration.database == nil)
        #expect(configuration.counts.values.allSatisfy { $0 == 1 })
    }

    @Test func makesPathsAbsolute() throws {
        let here = FileManager.default.currentDirectoryPath
        #expect(try configuration(["data": "a/../b"]).data == "\(here)/b")
    }

    @Test func responderFlagsArePassedOn() throws {
        #expect(try configuration([:]).responderArguments == [])
        let flags = ["weights": "int8", "cache-format": "float32", "cache-megabytes": "64"]
        #expect(
            try configuration(flags).responderArguments
                == ["--weights", "int8", "--cache-format", "float32", "--cache-megabytes", "64"]
        )
    }

    @Test(arguments: [
        ("log", "rabbit://host"), ("database", "kafka://host:9092"), ("gateways", "-1"), ("weights", "int4"),
        ("cache-format", "half"), ("cache-megabytes", "0"),
    ])
    func refusesWhatCannotBe(key: String, value: String) {
        let error = #expect(throws: ConfigurationError.self) { try configuration([key: value]) }
        #expect(error?.description.contains(key) == true)
    }
}

@Suite struct ChildProcessTests {
    @Test func tellsHowAProgramEnded() async throws {
        func run(_ script: String) async throws -> ChildProcess.Status {
            let specification = ChildProcess.Specification(
                executable: "/bin/sh",
                arguments: ["-c", script],
                environment: ["PATH": "/bin:/usr/bin"]
            )
            return try await ChildProcess.start(specification).ended()
        }
        #expect(try await run("exit 7") == .exited(7))
        #expect(try await run("kill -9 $$") == .signalled(9))
        await #expect(throws: ProcessFailure.self) {
            try await ChildProcess.start(.init(executable: "/no/such/program", arguments: [], environment: [:]))
        }
    }

    @Test func endsWhatDoesNotListen() async throws {
        let file = NSTemporaryDirectory() + "deaf-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: file) }
        let deaf = try await ChildProcess.start(
            .init(
                executable: "/bin/sh",
                arguments: ["-c", "trap '' TERM; echo deaf; while :; do sleep 1; done"],
                environment: ["PATH": "/bin:/usr/bin"],
                outputFile: file
            )
        )
        while try String(contentsOfFile: file, encoding: .utf8).isEmpty { try await Task.sleep(for: .milliseconds(5)) }
        #expect(await deaf.stop(patience: .milliseconds(300)) == .signalled(9))
    }
}
