import Foundation
import Tensors

/// A report of training runs as one self-contained HTML page.
struct ReportPage: Sendable {
    let records: [TrainingRecord]
    /// The commit of the program that writes it.
    let commit: String
    let date: Date

    private static let measures = [("hr", "HR"), ("ndcg", "NDCG"), ("mrr", "MRR")]
    private static let cutoffs = [1, 5, 10]
    private static let baseline = "most popular"

    /// The page.
    func html() -> String {
        let title = records.count == 1 ? "Training of \(records[0].name)" : "\(records.count) trainings"
        return """
            <!DOCTYPE html>
            <html lang="en">
            <head>
            <meta charset="utf-8">
            <meta name="viewport" content="width=device-width, initial-scale=1">
            <meta name="color-scheme" content="light dark">
            <title>\(title.escapedForHTML)</title>
            <style>
            \(ReportStyle.css)
            \(ReportStyle.colours(records.count))
            </style>
            </head>
            <body>
            <main>
            <h1>\(title.escapedForHTML)</h1>
            <p class="soft small">UserLLM trainer, \(date.formatted(.iso8601)), commit <code>\(commit.escapedForHTML)</code></p>
            \(summary())
            \(curves())
            \(results())
            \(settings())
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

    // MARK: - Results

    /// One row of the result table.
    private struct Row {
        let group: String
        let head: String
        let note: String
        let values: [Double?]
    }

    private func results() -> String {
        let rows = resultRows()
        guard !rows.isEmpty else {
            return """
                <h2>Results</h2>
                <p class="soft">No run has been evaluated yet: <code>trainer evaluate encoder PREPARED RUN</code> leaves its result \
                in the run's folder.</p>
                """
        }
        let groups = rows.map(\.group).withoutRepetitions
        return "<h2>Results</h2>\n" + groups.map { group in table(group, rows.filter { $0.group == group }) }.joined()
    }

    private func resultRows() -> [Row] {
        var rows: [Row] = []
        for (index, record) in records.enumerated() {
            for evaluation in record.evaluations {
                let texts = evaluation.texts
                let (items, users) = (evaluation.numbers["items"], evaluation.numbers["users"])
                let group =
                    "\(texts["split"] ?? "?"), \(texts["protocol"] ?? "?"), "
                    + "\(users.map { Int($0).grouped } ?? "?") users, all \(items.map { Int($0).grouped } ?? "?") items, "
                    + "data \(texts["data_hash"].map { String($0.prefix(12)) } ?? "?")"
                func row(_ head: String, _ note: String, _ suffix: String) -> Row {
                    let values = Self.measures.flatMap { measure in
                        Self.cutoffs.map { evaluation.numbers["\(measure.0)_\($0)\(suffix)"] }
                    }
                    return Row(group: group, head: head, note: note, values: values)
                }
                let head = swatch(index) + record.name.escapedForHTML
                rows.append(row(head, "seen items left out", ""))
                rows.append(row(head, "all items", "_seen_unfiltered"))
                guard !rows.contains(where: { $0.group == group && $0.head == Self.baseline }) else { continue }
                rows.append(row(Self.baseline, "seen items left out", "_most_popular"))
                rows.append(row(Self.baseline, "all items", "_most_popular_seen_unfiltered"))
            }
        }
        return rows
    }

    /// A table of one kind of evaluation; the best value of each metric is bold, with seen items left out.
    private func table(_ group: String, _ rows: [Row]) -> String {
        // Separates filtered and unfiltered metrics, with the baseline last in each.
        let order = rows.enumerated().map { index, row in
            (row.note == "all items" ? 1 : 0, row.head == Self.baseline ? 1 : 0, index)
        }
        let rows = order.sorted(by: <).map { rows[$0.2] }
        let heads = Self.measures.flatMap { measure in
            Self.cutoffs.map { "<th scope=\"col\"\($0 == 1 ? " class=\"edge\"" : "")>\(measure.1)@\($0)</th>" }
        }
        let lines = rows.map { row in
            let cells = row.values.enumerated().map { column, value in
                let rivals = rows.filter { $0.note == row.note }.compactMap { $0.values[column] }
                let isTop = rivals.count > 1 && value != nil && value == rivals.max()
                let classes = [column % 3 == 0 ? "edge" : "", isTop ? "top" : ""].filter { !$0.isEmpty }
                let text = value?.formatted(digits: 4) ?? "–"
                return #"<td class="\#(classes.joined(separator: " "))">\#(text)</td>"#
            }
            let head = #"<th scope="row">\#(row.head)</th><td class="text soft">\#(row.note)</td>"#
            return "<tr>\(head)\(cells.joined())</tr>"
        }
        return """
            <p class="small soft">\(group.escapedForHTML)</p>
            <div class="card scroll"><table>
            <thead><tr><th scope="col">model</th><th scope="col" class="text">ranked</th>\(heads.joined())</tr></thead>
            <tbody>
            \(lines.joined(separator: "\n"))
            </tbody></table></div>

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

    private func swatch(_ index: Int) -> String {
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
    fileprivate var grouped: String {
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
}

extension [String] {
    /// Each text once, at its first position.
    fileprivate var withoutRepetitions: [String] {
        var seen: Set<String> = []
        return filter { seen.insert($0).inserted }
    }
}
