import Foundation

/// The curves of an efficiency table as one SVG picture that needs nothing else.
struct EfficiencyPlot: Sendable {
    /// A line of a chart, and how it is called.
    private typealias Line = (metric: EfficiencyMetric, name: String, colour: Int)

    /// A quantity at every length of timeline.
    private struct Panel {
        let title: String
        let unit: String
        /// What values are divided by.
        let scale: Double
        let lines: [Line]
    }

    /// What is drawn.
    let table: EfficiencyTable

    private static let panels = [
        Panel(
            title: "Time to the first token, no prefix known",
            unit: "milliseconds",
            scale: 1e-3,
            lines: [
                (.textFirst, "text", 0), (.wholeTextFirst, "text of all events, extrapolated", 5),
                (.llamaFirst, "text, llama.cpp", 3), (.freshFirst, "embedding, encoder included", 1),
                (.rowFirst, "embedding, row ready", 2),
            ]
        ),
        Panel(
            title: "Operations up to the first token, no prefix known",
            unit: "billions of floating-point operations, counted",
            scale: 1e9,
            lines: [
                (.textFLOPs, "text", 0), (.wholeTextFLOPs, "text of all events", 5),
                (.freshFLOPs, "embedding, encoder included", 1), (.rowFLOPs, "embedding, row ready", 2),
            ]
        ),
        Panel(
            title: "One more event",
            unit: "milliseconds",
            scale: 1e-3,
            lines: [
                (.eventTime, "text: read on, with keys and values kept", 0),
                (.refreshTime, "embedding: timeline encoded anew", 1),
            ]
        ),
        Panel(
            title: "Kept per user",
            unit: "KiB",
            scale: 1_024,
            lines: [
                (.cacheBFloat16, "text: keys and values in bfloat16", 0), (.textBytes, "text: characters alone", 5),
                (.rowBytes, "embedding: row", 1),
            ]
        ),
    ]

    private static let colours = ["#2563c9", "#c4560f", "#0a7f64", "#9b3fa3", "#8a6a00", "#5c6675"]
    private static let legendHeight = 18.0
    private static let gap = 32.0

    /// A chart for each quantity, without its legend.
    var charts: [Chart] {
        Self.panels.map { panel in
            var chart = Chart(title: panel.title, subtitle: panel.unit, curves: curves(panel))
            (chart.horizontal, chart.isLogarithmic, chart.showsPoints) = ("events of the timeline", true, true)
            return chart
        }
    }

    /// The picture.
    func svg() -> String {
        let charts = charts
        let legendRows = charts.map(\.curves.count).max() ?? 0
        let cell = 46 + Double(legendRows) * Self.legendHeight + Chart.height
        let width = 2 * Chart.width + 3 * Self.gap
        let rows = (charts.count + 1) / 2
        let height = Double(rows) * (cell + Self.gap) + Self.gap
        var svg =
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"\(Int(width))\" height=\"\(Int(height))\" "
            + "viewBox=\"0 0 \(Int(width)) \(Int(height))\" font-family=\"system-ui, 'DejaVu Sans', sans-serif\">\n"
            + "<style>\n\(Self.style)\n</style>\n<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n"
        for (index, chart) in charts.enumerated() {
            let x = Self.gap + Double(index % 2) * (Chart.width + Self.gap)
            let y = Self.gap + Double(index / 2) * (cell + Self.gap)
            svg += draw(chart, x: x, y: y, legendRows: legendRows)
        }
        return svg + "</svg>\n"
    }

    /// Writes the picture.
    ///
    /// - Throws: if the file cannot be written.
    func write(to path: String) throws {
        try Data(svg().utf8).write(to: URL(fileURLWithPath: path), options: .atomic)
    }

    private func curves(_ panel: Panel) -> [Chart.Curve] {
        panel.lines.compactMap { line in
            let points = table.columns.sorted { $0.events < $1.events }.compactMap { column in
                column.value(line.metric).map { Chart.Point(x: Double(column.events), y: $0 / panel.scale) }
            }.filter { $0.y > 0 }
            return points.isEmpty ? nil : Chart.Curve(name: line.name, index: line.colour, points: points)
        }
    }

    private func draw(_ chart: Chart, x: Double, y: Double, legendRows: Int) -> String {
        var svg = "<text class=\"title\" x=\"\(x)\" y=\"\(y + 6)\">\(chart.title)</text>\n"
        svg += "<text class=\"unit\" x=\"\(x)\" y=\"\(y + 24)\">\(chart.subtitle)</text>\n"
        for (row, curve) in chart.curves.enumerated() {
            let place = y + 46 + Double(row) * Self.legendHeight
            svg += "<line class=\"curve c\(curve.index)\" x1=\"\(x)\" x2=\"\(x + 22)\" y1=\"\(place - 4)\" "
            svg += "y2=\"\(place - 4)\"/><text x=\"\(x + 30)\" y=\"\(place)\">\(curve.name.escapedForHTML)</text>\n"
        }
        let top = y + 46 + Double(legendRows) * Self.legendHeight
        let size = "width=\"\(Int(Chart.width))\" height=\"\(Int(Chart.height))\""
        return svg + chart.svg("x=\"\(Int(x))\" y=\"\(Int(top))\" \(size)")
    }

    private static let style: String = {
        var lines = [
            "text { font-size: 12px; fill: #5c6675; } .title { font-size: 15px; font-weight: 600; fill: #1a1f27; }",
            ".unit { font-size: 12px; } .y { text-anchor: end; } .x { text-anchor: middle; }",
            ".grid { stroke: #e3e6eb; } .axis { stroke: #5c6675; } .curve { fill: none; stroke-width: 1.8; }",
            ".end { font-weight: 600; }",
        ]
        for (index, colour) in colours.enumerated() {
            lines.append(
                ".curve.c\(index) { stroke: \(colour); } .dot.c\(index), .end.c\(index) { fill: \(colour); }"
            )
        }
        return lines.joined(separator: "\n")
    }()
}
