import Bytes
import Foundation
import Tensors

/// A report of training runs and results as one self-contained HTML page.
struct ReportPage: Sendable {
    /// An evaluation, and how it is called.
    struct Evaluation: Sendable {
        /// In a table, as HTML.
        let head: String
        /// In a sentence.
        let name: String
        let result: EvaluationResult
    }

    let records: [TrainingRecord]
    /// Evaluations that are not in a run's folder, by name.
    var results: [(name: String, result: EvaluationResult)] = []
    /// Results of `trainer efficiency`, by name.
    var costs: [(name: String, table: EfficiencyTable)] = []
    /// The commit of the program that writes it.
    let commit: String
    let date: Date

    /// All evaluations, those in the runs' folders first.
    var evaluations: [Evaluation] {
        records.enumerated().flatMap { index, record in
            record.evaluations.map {
                Evaluation(head: swatch(index) + record.name.shownInHTML, name: record.name, result: $0)
            }
        } + results.map { Evaluation(head: $0.name.shownInHTML, name: $0.name, result: $0.result) }
    }

    /// Those of models that answer.
    var answering: [Evaluation] { evaluations.filter { $0.result.kind != .encoder } }

    private var title: String {
        let names = results.map(\.name) + costs.map(\.name)
        let runs = records.count == 1 ? "training of \(records[0].name)" : "\(records.count) trainings"
        let found = names.count == 1 ? "results of \(names[0])" : "\(names.count) results"
        let parts = (records.isEmpty ? [] : [runs]) + (names.isEmpty ? [] : [found])
        return parts.joined(separator: ", ").capitalizedFirst
    }

    /// The page.
    func html() -> String {
        let title = title.shownInHTML
        let colourCount = max(records.count, costs.isEmpty ? 0 : ReportStyle.colourCount)
        return """
            <!DOCTYPE html>
            <html lang="en">
            <head>
            <meta charset="utf-8">
            <meta name="viewport" content="width=device-width, initial-scale=1">
            <meta name="color-scheme" content="light dark">
            <title>\(title)</title>
            <style>
            \(ReportStyle.css)
            \(ReportStyle.colours(colourCount))
            </style>
            </head>
            <body>
            <main>
            <h1>\(title)</h1>
            <p class="soft small">UserLLM trainer, \(date.formatted(.iso8601)), commit <code>\(commit.escapedForHTML)</code></p>
            \(records.isEmpty ? "" : summary() + "\n" + curves())
            \(resultTables())
            \(answerCards())
            \(costTables())
            \(records.isEmpty ? "" : settings())
            </main>
            </body>
            </html>

            """
    }

    // MARK: - Summary

    private func summary() -> String {
        let rows = records.enumerated().map { index, record in
            let best = record.metrics.first.flatMap { metric in record.best(metric).map { (metric, $0) } }
            let loss = record.curve(\.loss).last?.y
            return """
                <tr><th scope="row">\(swatch(index))\(record.name.escapedForHTML)</th>\
                <td class="text">\(record.description.kind.escapedForHTML)</td>\
                <td>\(best.map { "<b>\($0.1.value.formatted(digits: 4))</b>" } ?? "–")</td>\
                <td>\(best.map { $0.1.step.grouped } ?? "–")</td>\
                <td>\(record.steps.grouped)\(record.plannedSteps.map { " of \($0.grouped)" } ?? "")</td>\
                <td>\(Self.time(record.seconds))</td>\
                <td>\(record.medianSpeed.map { Int($0).grouped } ?? "–")</td>\
                <td>\(loss?.formatted(digits: 4) ?? "–")</td></tr>
                """
        }
        let names = Set(records.compactMap(\.metrics.first))
        let metric = names.count == 1 ? names.first ?? "validation" : "validation"
        return """
            <h2>Runs</h2>
            <div class="card scroll"><table>
            <thead><tr><th scope="col">run</th><th scope="col" class="text">kind</th>\
            <th scope="col">best \(metric.escapedForHTML)</th><th scope="col">at step</th><th scope="col">steps</th>\
            <th scope="col">time</th><th scope="col">tokens/s, median</th><th scope="col">last loss</th></tr></thead>
            <tbody>
            \(rows.joined(separator: "\n"))
            </tbody></table></div>
            """
    }

    // MARK: - Curves

    private func curves() -> String {
        func chart(
            _ title: String,
            _ subtitle: String,
            _ points: (TrainingRecord) -> [Chart.Point]
        ) -> Chart {
            Chart(
                title: title,
                subtitle: subtitle,
                curves: records.enumerated().map {
                    Chart.Curve(name: $0.element.name, index: $0.offset, points: points($0.element))
                }
            )
        }
        var charts = [chart("Training loss", "mean of the steps since the point before, in nats") { $0.curve(\.loss) }]
        for metric in records.flatMap(\.metrics).withoutRepetitions {
            var validation = chart(metric.capitalizedFirst, "greater is better; a ring marks the best checkpoint") {
                $0.validations(metric).map { Chart.Point(x: Double($0.step), y: $0.value) }
            }
            validation.showsPoints = true
            for (index, record) in records.enumerated() {
                validation.curves[index].best = record.best(metric).map { Chart.Point(x: Double($0.step), y: $0.value) }
            }
            charts.append(validation)
        }
        var rate = chart("Learning rate", "of the step, before the groups' own factors") { $0.curve(\.learningRate) }
        rate.beginsAtZero = true
        var speed = chart("Speed", "tokens per second, without validations") { $0.speed }
        speed.beginsAtZero = true
        charts += [rate, speed]
        let legend = records.enumerated().map { "<li>\(swatch($0.offset))\($0.element.name.escapedForHTML)</li>" }
        let cards = charts.map { chart in
            """
            <section class="card chart"><h3>\(chart.title.escapedForHTML)</h3>\
            <p class="soft small">\(chart.subtitle.escapedForHTML)</p>
            \(chart.svg())</section>
            """
        }
        return """
            <h2>Curves</h2>
            \(records.count > 1 ? "<ul class=\"legend\">\(legend.joined())</ul>" : "")
            <div class="charts">
            \(cards.joined(separator: "\n"))
            </div>
            """
    }

    // MARK: - Settings

    private func settings() -> String {
        var rows: [(String, [String])] = [
            ("kind", records.map(\.description.kind)),
            ("data", records.map { String($0.description.dataHash.prefix(16)) }),
            ("protocol", records.map(\.description.evaluationProtocol.rawValue)),
            ("seed", records.map { "\($0.description.seed)" }),
            ("threads", records.map { "\($0.description.threads)" }),
            ("precision", records.map(\.description.precision.rawValue)),
        ]
        // The precision is shown above as it was resolved, not as it was requested.
        for key in Set(records.flatMap(\.description.settings.keys)).sorted() where key != "precision" {
            rows.append((key, records.map { $0.description.settings[key] ?? "–" }))
        }
        let lines = rows.map { name, values in
            let differs = Set(values).count > 1
            let cells = values.map {
                "<td class=\"text\(differs ? " differs" : "")\"><code>\($0.escapedForHTML)</code></td>"
            }
            return "<tr><th scope=\"row\">\(name.escapedForHTML)</th>\(cells.joined())</tr>"
        }
        let heads = records.enumerated().map {
            "<th scope=\"col\" class=\"text\">\(swatch($0.offset))\($0.element.name.escapedForHTML)</th>"
        }
        return """
            <h2>Settings</h2>
            \(records.count > 1 ? "<p class=\"soft small\">Marked: where the runs differ.</p>" : "")
            <div class="card scroll"><table>
            <thead><tr><th scope="col">setting</th>\(heads.joined())</tr></thead>
            <tbody>
            \(lines.joined(separator: "\n"))
            </tbody></table></div>
            """
    }

    // MARK: - Pieces

    func swatch(_ index: Int) -> String {
        records.count > 1 ? "<span class=\"swatch c\(index)\"></span>" : ""
    }

    /// A duration in the form `8 min 49 s`.
    private static func time(_ seconds: Double) -> String {
        let whole = Int(seconds.rounded())
        if whole >= 3_600 { return "\(whole / 3_600) h \(whole / 60 % 60) min" }
        return whole >= 60 ? "\(whole / 60) min \(whole % 60) s" : "\(seconds.formatted(digits: whole < 10 ? 1 : 0)) s"
    }
}

extension Int {
    /// The number with commas between thousands.
    var grouped: String {
        var text = ""
        for (index, digit) in String(magnitude).reversed().enumerated() {
            if index > 0, index % 3 == 0 { text.append(",") }
            text.append(digit)
        }
        return (self < 0 ? "-" : "") + String(text.reversed())
    }
}

extension String {
    /// The text with its first letter in upper case.
    fileprivate var capitalizedFirst: String { prefix(1).uppercased() + dropFirst() }

    /// The text from outside as a page shows it: escaped, without characters that change how others are shown.
    var shownInHTML: String { ControlCharacters.escaped(self).escapedForHTML }
}

extension Array where Element: Hashable {
    /// Each element once, at its first position.
    var withoutRepetitions: [Element] {
        var seen: Set<Element> = []
        return filter { seen.insert($0).inserted }
    }
}
