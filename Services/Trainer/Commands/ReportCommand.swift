import Foundation
import ServiceRuntime
import Tensors

/// `trainer report`: shows how training runs went and what was found, on one page.
enum ReportCommand {
    private static let out = ConfigurationKey<String>("out", default: "report.html", help: "The page to write")

    static var command: Command {
        Command(
            "report",
            summary: "Write one HTML page with the curves, results, answers, costs and settings of trainings",
            arguments: [
                CommandArgument(
                    "path",
                    help: "Folders of trainings, with the results in them, and files of what `trainer evaluate` and "
                        + "`trainer efficiency` printed with --json",
                    count: .many
                )
            ],
            keys: [out],
            work: "report"
        ) { context in
            let paths = context.arguments("path")
            let page = try context.configuration.value(of: out)
            return { _ in try write(paths, to: page) }
        }
    }

    /// Writes the page.
    ///
    /// - Throws: `ProcessFailure` naming the file, and the field in it, that is missing or invalid.
    static func write(_ paths: [String], to path: String) throws -> Report {
        let page = try page(of: paths)
        try DurableFile.write(to: path) { try Data(page.html().utf8).write(to: URL(fileURLWithPath: $0)) }
        var report = Report()
        report.add("page", path)
        report.add("runs", page.records.count)
        report.add("evaluations", page.evaluations.count)
        report.add("efficiency_results", page.costs.count)
        return report
    }

    private static func page(of paths: [String]) throws -> ReportPage {
        let files = paths.filter(isFile)
        var page = ReportPage(
            records: try TrainingRecord.read(paths.filter { !isFile($0) }),
            commit: SourceCommit.current,
            date: Date()
        )
        for (name, file) in zip(names(of: files), files) {
            let fields = try ResultFields(contentsOf: file)
            if fields.has("lengths") {
                page.costs.append((name, try EfficiencyTable(fields)))
            } else {
                page.results.append((name, try EvaluationResult(fields)))
            }
        }
        try page.checkExamples()
        return page
    }

    /// Whether a path names a result, or would if it were there.
    private static func isFile(_ path: String) -> Bool {
        let values = try? URL(fileURLWithPath: path).resourceValues(forKeys: [.isDirectoryKey])
        return values?.isDirectory.map { !$0 } ?? path.hasSuffix(".json")
    }

    /// How results are called: as their files without `.json`, those of one name by their paths.
    private static func names(of files: [String]) -> [String] {
        let names = files.map { URL(fileURLWithPath: $0).deletingPathExtension().lastPathComponent }
        return zip(names, files).map { name, file in names.count { $0 == name } > 1 ? file : name }
    }
}
