import Synchronization

/// All metrics of a process, and the text Prometheus reads.
///
/// A metric of a name and labels is created once and then looked up. Names follow
/// `userllm_<service>_<noun>_<unit>[_total]`; labels must come from small sets, and beyond a limit all go to one series
/// whose labels are `other`.
public final class MetricsRegistry: Sendable {
    enum Metric: Sendable {
        case counter(Counter)
        case gauge(Gauge)
        case measured(@Sendable () -> Double)
        /// Values by the value of a label, whose set may change.
        case family(label: String, @Sendable () -> [String: Double])
        case histogram(Histogram)

        var type: String {
            switch self {
            case .counter: "counter"
            case .gauge, .measured, .family: "gauge"
            case .histogram: "histogram"
            }
        }
    }

    private struct Family: Sendable {
        let help: String
        let type: String
        var series: [[Label]: Metric] = [:]
    }

    struct Label: Sendable, Hashable {
        let name: String
        let value: String
    }

    private static let maximumSeriesCount = 200
    private let families = Mutex<[String: Family]>([:])

    /// Makes an empty registry.
    public init() {}

    /// A counter; its name ends in `_total`.
    public func counter(_ name: String, help: String, labels: [String: String] = [:]) -> Counter {
        precondition(name.hasSuffix("_total"), "the name of a counter ends in _total: \(name)")
        let metric = metric(name, help: help, type: "counter", labels: labels) { .counter(Counter()) }
        guard case .counter(let counter) = metric else { preconditionFailure("\(name) is a \(metric.type)") }
        return counter
    }

    /// Counters of one name, by the value of the label that tells them apart.
    ///
    /// - Parameters:
    ///   - name: the name of all.
    ///   - help: what they count.
    ///   - label: the label's name.
    ///   - values: the values that are counted; each is on the page from the start.
    /// - Returns: a counter for each value.
    public func counters<Value: RawRepresentable<String> & Hashable>(
        _ name: String,
        help: String,
        label: String,
        of values: some Sequence<Value>
    ) -> [Value: Counter] {
        let counters = values.map { ($0, counter(name, help: help, labels: [label: $0.rawValue])) }
        return Dictionary(uniqueKeysWithValues: counters)
    }

    /// A gauge that is set.
    public func gauge(_ name: String, help: String, labels: [String: String] = [:]) -> Gauge {
        let metric = metric(name, help: help, type: "gauge", labels: labels) { .gauge(Gauge()) }
        guard case .gauge(let gauge) = metric else { preconditionFailure("\(name) is measured, not set") }
        return gauge
    }

    /// A gauge that is asked for its value when the page is read; `measure` must not block.
    public func gauge(
        _ name: String,
        help: String,
        labels: [String: String] = [:],
        measure: @escaping @Sendable () -> Double
    ) {
        _ = metric(name, help: help, type: "gauge", labels: labels) { .measured(measure) }
    }

    /// Gauges with one label, asked for when the page is read: only values that are there then are shown.
    ///
    /// - Parameters:
    ///   - name: the name of all.
    ///   - help: what they say.
    ///   - label: the label's name; its values come from a set of bounded size, such as the partitions of a topic.
    ///   - measure: gives the values by the label's value; must not block.
    public func gauges(
        _ name: String,
        help: String,
        label: String,
        measure: @escaping @Sendable () -> [String: Double]
    ) {
        _ = metric(name, help: help, type: "gauge", labels: [:]) { .family(label: label, measure) }
    }

    /// A histogram with the upper bounds of its ranges.
    public func histogram(
        _ name: String,
        help: String,
        labels: [String: String] = [:],
        bounds: [Double] = Histogram.durations
    ) -> Histogram {
        let metric = metric(name, help: help, type: "histogram", labels: labels) {
            .histogram(Histogram(bounds: bounds))
        }
        guard case .histogram(let histogram) = metric else { preconditionFailure("\(name) is a \(metric.type)") }
        return histogram
    }

    private func metric(
        _ name: String,
        help: String,
        type: String,
        labels: [String: String],
        make: () -> Metric
    ) -> Metric {
        families.withLock { families in
            var family = families[name] ?? Family(help: help, type: type)
            precondition(family.type == type, "\(name) is a \(family.type), not a \(type)")
            var key = labels.sorted { $0.key < $1.key }.map { Label(name: $0.key, value: $0.value) }
            if family.series[key] == nil, family.series.count >= Self.maximumSeriesCount {
                key = key.map { Label(name: $0.name, value: "other") }
            }
            let metric = family.series[key] ?? make()
            family.series[key] = metric
            families[name] = family
            return metric
        }
    }

    /// All metrics in Prometheus' text format, version 0.0.4.
    public var text: String {
        let families = families.withLock { $0 }
        var text = ""
        for (name, family) in families.sorted(by: { $0.key < $1.key }) {
            text += "# HELP \(name) \(Self.escaped(family.help))\n# TYPE \(name) \(family.type)\n"
            let series = family.series.sorted { Self.labelText($0.key) < Self.labelText($1.key) }
            for (labels, metric) in series { text += Self.lines(name, labels, metric) }
        }
        return text
    }

    private static func lines(_ name: String, _ labels: [Label], _ metric: Metric) -> String {
        switch metric {
        case .counter(let counter): "\(name)\(labelText(labels)) \(counter.count)\n"
        case .gauge(let gauge): "\(name)\(labelText(labels)) \(number(gauge.value))\n"
        case .measured(let measure): "\(name)\(labelText(labels)) \(number(measure()))\n"
        case .histogram(let histogram): lines(name, labels, histogram)
        case .family(let label, let measure):
            measure().sorted { $0.key < $1.key }.map { value, measured in
                "\(name)\(labelText(labels + [Label(name: label, value: value)])) \(number(measured))\n"
            }.joined()
        }
    }

    private static func lines(_ name: String, _ labels: [Label], _ histogram: Histogram) -> String {
        let values = histogram.snapshot
        var text = ""
        var total = 0
        for (count, bound) in zip(values.counts, histogram.bounds.map(number) + ["+Inf"]) {
            total += count
            text += "\(name)_bucket\(labelText(labels + [Label(name: "le", value: bound)])) \(total)\n"
        }
        return text
            + "\(name)_sum\(labelText(labels)) \(number(values.sum))\n\(name)_count\(labelText(labels)) \(total)\n"
    }

    private static func labelText(_ labels: [Label]) -> String {
        guard !labels.isEmpty else { return "" }
        let pairs = labels.map { label in
            "\(label.name)=\"\(escaped(label.value).replacing("\"", with: "\\\""))\""
        }
        return "{\(pairs.joined(separator: ","))}"
    }

    private static func escaped(_ text: String) -> String {
        text.replacing("\\", with: "\\\\").replacing("\n", with: "\\n")
    }

    private static func number(_ value: Double) -> String {
        if value.isNaN { return "NaN" }
        if value.isInfinite { return value < 0 ? "-Inf" : "+Inf" }
        return value == value.rounded() && abs(value) < 1e15 ? String(Int64(value)) : "\(value)"
    }
}
