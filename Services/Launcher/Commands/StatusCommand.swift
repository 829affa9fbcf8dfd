import Foundation
import ServiceRuntime
import Bytes

/// `userllm status`: processes, lag, rows and freshness of a running system.
enum StatusCommand {
    /// More versions than a real system has; anyone who writes rows by hand can create any number.
    private static let mostVersions = 20
    private static let jsonKey = ConfigurationKey<Bool>("json", default: false, help: "Prints JSON")

    /// The command as the program lists it.
    static let command = Command(
        "status",
        summary: "Shows the processes, lag, rows and freshness of the system that runs on a data folder",
        keys: [SystemConfiguration.dataKey, jsonKey]
    ) { context in
        let data = try context.configuration.value(of: SystemConfiguration.dataKey).absolutePath
        guard let state = SystemState.running(on: data) else {
            throw ProcessFailure("no system runs on \(data): start one with `userllm up --data \(data)`")
        }
        let report = await StatusReport.gather(state)
        if try context.configuration.value(of: jsonKey) {
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
            Console().show(String(decoding: try encoder.encode(report), as: UTF8.self))
        } else {
            Console().show(text(of: report))
        }
    }

    static func text(of report: StatusReport) -> String {
        var processes = TextTable(
            ["process", "pid", "port", "metrics", "restarts", "state"],
            rightAligned: [1, 2, 3, 4]
        )
        for process in report.processes {
            processes.add([
                process.instance == 0 ? process.name : "\(process.name) \(process.instance)",
                process.isAlive ? "\(process.pid)" : "-",
                process.port.map { "\($0)" } ?? "-",
                process.adminPort.map { "\($0)" } ?? "-",
                "\(process.restarts)",
                process.notReady.map(shortened) ?? "ready",
            ])
        }
        var work = TextTable(
            ["worker", "partitions", "lag", "users", "restored", "batch age", "event to row, p50 / p99"],
            rightAligned: [2, 3, 5]
        )
        for process in report.processes {
            guard let report = process.work else { continue }
            work.add([
                process.instance == 0 ? process.name : "\(process.name) \(process.instance)",
                report.partitionText,
                report.lag.map { "\($0)" } ?? "-",
                report.users.map { "\($0)" } ?? "-",
                report.restored,
                report.batchAge.map(milliseconds) ?? "-",
                report.eventToRow.map { "\(milliseconds($0.p50)) / \(milliseconds($0.p99))" } ?? "-",
            ])
        }
        var lags = TextTable(["group", "topic", "lag"], rightAligned: [2])
        for lag in report.lags { lags.add([lag.group, lag.topic, "\(lag.records)"]) }
        var rows = TextTable(["model version", "rows"], rightAligned: [1])
        for row in report.rows.prefix(mostVersions) {
            rows.add([row.modelVersion + (row.modelVersion == report.modelVersion ? " (in use)" : ""), "\(row.count)"])
        }
        var parts = [report.isUp ? "up" : "starting", processes.text, work.text, lags.text, rows.text]
        if let freshness = report.freshness {
            parts.append(
                "event to row: half within \(milliseconds(freshness.p50)), 99 % within \(milliseconds(freshness.p99)) "
                    + "(\(freshness.count) rows)"
            )
        }
        if report.rows.count > mostVersions { parts.append("(\(report.rows.count - mostVersions) versions more)") }
        if let advice = reroutingAdvice(report.processes.compactMap(\.work)) { parts.append(advice) }
        return (parts + report.problems.map { "problem: \(ControlCharacters.escaped($0))" }).joined(separator: "\n\n")
    }

    /// What to do about records in partitions that are not their users'; nil if there were none.
    static func reroutingAdvice(_ reports: [WorkReport]) -> String? {
        let counts = reports.reduce(into: [String: Double]()) { $0.merge($1.rerouted, uniquingKeysWith: +) }
        guard !counts.isEmpty else { return nil }
        let reasons = counts.sorted { $0.key < $1.key }.map { reason, count in
            "\(count.formatted(.number.precision(.fractionLength(0)).grouping(.never))) by "
                + (reason == "keyless" ? "having no key" : "their producer's partitioner")
        }
        return "records in partitions that are not their users', sent on since the workers started: "
            + reasons.joined(separator: ", ")
            + "; give the producers partitioner=murmur2_random and the user's id as the key"
    }

    /// A reason shortened to one line; the JSON form has all of it.
    private static func shortened(_ reason: String) -> String {
        reason.count <= 56 ? reason : "\(reason.prefix(53))..."
    }

    private static func milliseconds(_ seconds: Double) -> String {
        "\(MetricsPage.whole((seconds * 1_000).rounded(.up))) ms"
    }
}
