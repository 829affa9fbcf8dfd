import Foundation
import ServiceRuntime
import Tensors

/// `trainer report`: shows how training runs went, on one page.
enum ReportCommand {
    private static let out = ConfigurationKey<String>("out", default: "report.html", help: "The page to write")

    static var command: Command {
        Command(
            "report",
            summary: "Write one HTML page with the curves, results and settings of trainings",
            arguments: [CommandArgument("run", help: "The folders of one or more trainings", count: .many)],
            keys: [out],
            work: "report"
        ) { context in
            let runs = context.arguments("run")
            let path = try context.configuration.value(of: out)
            return { _ in try write(runs, to: path) }
        }
    }

    /// Writes the page.
    static func write(_ runs: [String], to path: String) throws -> Report {
        let page = ReportPage(records: try TrainingRecord.read(runs), commit: SourceCommit.current, date: Date())
        try DurableFile.write(to: path) { try Data(page.html().utf8).write(to: URL(fileURLWithPath: $0)) }
        var report = Report()
        report.add("page", path)
        report.add("runs", runs.count)
        report.add("evaluations", page.records.reduce(0) { $0 + $1.evaluations.count })
        return report
    }
}
