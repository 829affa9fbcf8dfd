import Foundation

/// A line chart as SVG: curves of several runs on the same axes.
///
/// Colours and fonts come from the page's style: curve `n` has the class `c<n>`.
struct Chart: Sendable {
    /// A point of a curve.
    struct Point: Sendable, Equatable {
        var x: Double
        var y: Double
    }

    /// The curve of one run.
    struct Curve: Sendable {
        /// The run's name.
        var name: String
        /// The run's number, for its colour.
        var index: Int
        /// In ascending order of x.
        var points: [Point]
        /// A highlighted point.
        var best: Point?
    }

    /// The title.
    var title: String
    /// The quantity and its unit.
    var subtitle: String
    var curves: [Curve]
    /// Whether the y axis begins at 0.
    var beginsAtZero = false
    /// Whether every point is drawn, because there are few.
    var showsPoints = false
    /// What the x axis counts.
    var horizontal = "steps"
    /// Whether both axes are logarithmic; then all values are above 0, and the x axis has the points' own values.
    var isLogarithmic = false

    /// Width of the picture.
    static let width = 480.0
    /// Height of the picture.
    static let height = 270.0
    /// Space for the numbers at the axes and at the ends of the curves.
    private static let margins = (left: 58.0, right: 62.0, top: 14.0, bottom: 42.0)
    /// More points than this are averaged, because more cannot be distinguished.
    private static let mostPoints = 240

    /// The chart, without title.
    ///
    /// - Parameter place: further attributes, such as its place in another picture.
    /// - Returns: an element that can stand in a page or in another picture.
    func svg(_ place: String = "") -> String {
        let shown = curves.map { Self.thinned($0.points) }
        let all = shown.flatMap(\.self)
        let frame = frame(of: all)
        let box = "0 0 \(Int(Self.width)) \(Int(Self.height))"
        let attributes = #"viewBox="\#(box)" role="img" aria-label="\#(title.escapedForHTML)""#
        var svg = "<svg \(place.isEmpty ? "" : place + " ")\(attributes)>\n"
        svg += frame.grid()
        for (curve, points) in zip(curves, shown) where !points.isEmpty {
            let path = points.map { "\(frame.px($0.x).short),\(frame.py($0.y).short)" }.joined(separator: " ")
            svg += "<polyline class=\"curve c\(curve.index)\" points=\"\(path)\"/>\n"
            if showsPoints {
                for point in points { svg += frame.dot(point, curve, "dot", radius: 2.6) }
            }
            if let best = curve.best { svg += frame.dot(best, curve, "best", radius: 5.2) }
        }
        return svg + endLabels(shown, frame) + "</svg>\n"
    }

    private func frame(of all: [Point]) -> Frame {
        let (lowest, highest) = (all.map(\.y).min(), all.map(\.y).max())
        guard !isLogarithmic else {
            return Frame(
                x: Axis(values: all.map(\.x)),
                y: Axis(logarithmic: lowest ?? 1, highest ?? 10),
                horizontal: horizontal
            )
        }
        return Frame(
            x: Axis(steps: max(all.map(\.x).max() ?? 1, 1)),
            y: Axis(beginsAtZero ? 0 : lowest ?? 0, highest ?? 1, ticks: 5),
            horizontal: horizontal
        )
    }

    /// The last value of each curve at its end; labels are moved apart if they would overlap.
    private func endLabels(_ shown: [[Point]], _ frame: Frame) -> String {
        let gap = 15.0
        var labels = zip(curves, shown).compactMap { curve, points in
            points.last.map { (curve: curve, end: $0, y: frame.py($0.y)) }
        }.sorted { ($0.y, $0.curve.index) < ($1.y, $1.curve.index) }
        for index in labels.indices.dropFirst() { labels[index].y = max(labels[index].y, labels[index - 1].y + gap) }
        // Labels pushed out at the bottom are pushed back up.
        var limit = Self.height - Self.margins.bottom
        for index in labels.indices.reversed() {
            labels[index].y = min(labels[index].y, limit)
            limit = labels[index].y - gap
        }
        let x = (Self.width - Self.margins.right + 8).short
        return labels.map { label in
            "<text class=\"end c\(label.curve.index)\" x=\"\(x)\" y=\"\((label.y + 4).short)\">"
                + "\(frame.y.precise(label.end.y))</text>\n"
        }.joined()
    }

    /// Reduces the points to what can be distinguished; each is the mean of its neighbours.
    static func thinned(_ points: [Point]) -> [Point] {
        guard points.count > mostPoints else { return points }
        return (0..<mostPoints).map { index in
            let part = points[index * points.count / mostPoints..<(index + 1) * points.count / mostPoints]
            let count = Double(part.count)
            return Point(x: part.reduce(0) { $0 + $1.x } / count, y: part.reduce(0) { $0 + $1.y } / count)
        }
    }

    /// Maps values to positions in the picture.
    private struct Frame {
        let x: Axis
        let y: Axis
        let horizontal: String

        func px(_ value: Double) -> Double {
            let room = Chart.width - Chart.margins.left - Chart.margins.right
            return Chart.margins.left + x.share(value) * room
        }

        func py(_ value: Double) -> Double {
            let room = Chart.height - Chart.margins.top - Chart.margins.bottom
            return Chart.height - Chart.margins.bottom - y.share(value) * room
        }

        func grid() -> String {
            let (left, right) = (Chart.margins.left, Chart.width - Chart.margins.right)
            let bottom = Chart.height - Chart.margins.bottom
            var svg = ""
            func line(_ kind: String, at y: Double) {
                let place = #"y1="\#(y.short)" y2="\#(y.short)""#
                svg += #"<line class="\#(kind)" x1="\#(left.short)" x2="\#(right.short)" \#(place)/>"#
            }
            func number(_ axis: String, _ x: Double, _ y: Double, _ text: String) {
                svg += #"<text class="\#(axis)" x="\#(x.short)" y="\#(y.short)">\#(text)</text>"# + "\n"
            }
            for tick in y.ticks {
                line("grid", at: py(tick))
                number("y", left - 8, py(tick) + 4, y.text(tick))
            }
            for tick in x.ticks { number("x", px(tick), bottom + 17, x.text(tick)) }
            line("axis", at: bottom)
            number("x", (left + right) / 2, Chart.height - 6, horizontal)
            return svg
        }

        func dot(_ point: Point, _ curve: Curve, _ kind: String, radius: Double) -> String {
            let note = "\(curve.name): \(y.precise(point.y)) at \(Int(point.x)) \(horizontal)".escapedForHTML
            return "<circle class=\"\(kind) c\(curve.index)\" cx=\"\(px(point.x).short)\" cy=\"\(py(point.y).short)\" "
                + "r=\"\(radius.short)\"><title>\(note)</title></circle>\n"
        }
    }
}

/// An axis with round numbers.
struct Axis: Sendable {
    /// The tick values, ascending.
    let ticks: [Double]
    private let ends: (low: Double, high: Double)
    /// The distance of two ticks; nil on a logarithmic axis, where it is what a tick is.
    private let step: Double?

    /// Creates an axis of steps, from 0 to the last step, even if that is not a round number.
    init(steps: Double) {
        let step = max(Self.nice(steps / 5), 1)
        self.step = step
        ends = (0, steps)
        ticks = (0...Int(steps / step)).map { Double($0) * step }
    }

    /// Creates an axis that covers all values from `low` to `high`, and ends at round numbers.
    ///
    /// - Parameters:
    ///   - low: the lowest value.
    ///   - high: the highest value.
    ///   - ticks: the approximate number of intervals.
    init(_ low: Double, _ high: Double, ticks: Int) {
        // A flat curve gets an axis as wide as its value.
        let flat = high - low <= abs(high) * 1e-9
        let (low, high) = flat ? (min(low * 1.2, 0), high == 0 ? 1 : max(high * 1.2, 0)) : (low, high)
        let step = Self.nice((high - low) / Double(ticks))
        self.step = step
        let (first, last) = ((low / step + 1e-9).rounded(.down), (high / step - 1e-9).rounded(.up))
        ends = (first * step, max(last, first + 1) * step)
        self.ticks = (0...Int(max(last - first, 1))).map { (first + Double($0)) * step }
    }

    /// Creates a logarithmic axis with a tick at every value.
    init(values: [Double]) {
        ticks = Set(values).sorted()
        let (low, high) = (ticks.first ?? 1, ticks.last ?? 10)
        ends = low < high ? (low, high) : (low / 2, low * 2)
        step = nil
    }

    /// Creates a logarithmic axis from a power of ten to a power of ten.
    init(logarithmic low: Double, _ high: Double) {
        let first = Int(floor(log10(low) + 1e-9))
        let last = max(Int(ceil(log10(high) - 1e-9)), first + 1)
        ticks = (first...last).map { pow(10, Double($0)) }
        ends = (pow(10, Double(first)), pow(10, Double(last)))
        step = nil
    }

    /// Rounds up to the next 1, 2 or 5 times a power of ten.
    private static func nice(_ rough: Double) -> Double {
        let power = pow(10, floor(log10(rough)))
        return [1, 2, 5, 10].map { $0 * power }.first { $0 >= rough * 0.999 } ?? rough
    }

    /// The relative position of a value between the ends, from 0 to 1.
    func share(_ value: Double) -> Double {
        guard step == nil else { return (value - ends.low) / (ends.high - ends.low) }
        return log(value / ends.low) / log(ends.high / ends.low)
    }

    /// A tick as text.
    func text(_ value: Double) -> String { Self.text(value, step: step ?? value) }

    /// A value with two more digits than the ticks.
    func precise(_ value: Double) -> String {
        guard let step else { return Self.text(value, step: value / 100) }
        return abs(value) >= 10_000 ? Self.text(value, step: step / 10) : Self.text(value, step: step / 100)
    }

    private static func text(_ value: Double, step: Double) -> String {
        if value == 0 { return "0" }
        if abs(value) < 1e-3, step < 1e-4 { return scientific(value) }
        let (scaled, unit, scale): (Double, String, Double) =
            switch abs(value) {
            case 1e6...: (value / 1e6, "M", 1e6)
            case 1e4...: (value / 1e3, "k", 1e3)
            default: (value, "", 1)
            }
        let digits = max(0, min(6, Int((-log10(step / scale) - 1e-9).rounded(.up))))
        return String(format: "%.\(digits)f", scaled) + unit
    }

    /// The number in the form `2e-5`.
    private static func scientific(_ value: Double) -> String {
        let exponent = Int(floor(log10(abs(value))))
        let mantissa = value / pow(10, Double(exponent))
        let digits = String(format: "%.1f", mantissa)
        return "\(digits.hasSuffix(".0") ? String(digits.dropLast(2)) : digits)e\(exponent)"
    }
}

extension Double {
    /// The number with one decimal place, for coordinates in a picture.
    fileprivate var short: String { formatted(digits: 1) }
}

extension String {
    /// The text escaped for HTML, including attributes.
    var escapedForHTML: String {
        replacing("&", with: "&amp;").replacing("<", with: "&lt;").replacing(">", with: "&gt;")
            .replacing("\"", with: "&quot;")
    }
}
