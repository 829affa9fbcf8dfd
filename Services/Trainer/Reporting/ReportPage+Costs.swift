/// What users' contexts cost as text and as an embedding.
extension ReportPage {
    func costTables() -> String {
        guard !costs.isEmpty else {
            return answering.isEmpty
                ? ""
                : """
                <h2>What a context costs</h2>
                <p class="soft">Not measured, or not named here: <code>trainer efficiency PREPARED BUNDLE --json</code> prints \
                a result, a file of which can be named beside the others.</p>
                """
        }
        return "<h2>What a context costs</h2>\n" + costs.map { section($0.name, $0.table) }.joined(separator: "\n")
    }

    private func section(_ name: String, _ table: EfficiencyTable) -> String {
        let settings = table.settings.map { "\($0.name): \($0.value)" }.joined(separator: " · ")
        let heads = table.columns.map { "<th scope=\"col\">\($0.events.grouped) events</th>" }
        let head = "<th scope=\"col\">a timeline of</th>\(heads.joined())"
        let users = table.columns.map { "<td>\($0.users.grouped)</td>" }
        var lines = ["<tr><th scope=\"row\">users measured</th>\(users.joined())</tr>"]
        for (title, metrics) in table.sections {
            let span = "scope=\"rowgroup\" colspan=\"\(table.columns.count + 1)\""
            lines.append("<tr class=\"part\"><th \(span)>\(title.escapedForHTML)</th></tr>")
            for metric in metrics {
                let cells = table.columns.map { "<td>\(EfficiencyTable.cell(metric, in: $0).escapedForHTML)</td>" }
                lines.append("<tr><th scope=\"row\">\(metric.label.escapedForHTML)</th>\(cells.joined())</tr>")
            }
        }
        let notes = table.notes.filter { !$0.isEmpty }.map { "<p class=\"small soft\">\($0.escapedForHTML)</p>" }
        return """
            <p class="small soft">\(name.shownInHTML): \(settings.shownInHTML)</p>
            <div class="charts">
            \(EfficiencyPlot(table: table).charts.filter { !$0.curves.isEmpty }.map(card).joined(separator: "\n"))
            </div>
            \(Self.table(["medians of all users and rounds"], head: head, lines, kind: "costs"))
            \(notes.joined(separator: "\n"))
            """
    }

    private func card(_ chart: Chart) -> String {
        let legend = chart.curves.map { curve in
            "<li><span class=\"swatch c\(curve.index)\"></span>\(curve.name.escapedForHTML)</li>"
        }
        return """
            <section class="card chart"><h3>\(chart.title.escapedForHTML)</h3>\
            <p class="soft small">\(chart.subtitle.escapedForHTML)</p>
            <ul class="legend small">\(legend.joined())</ul>
            \(chart.svg())</section>
            """
    }
}
