import HTTPClient

/// A process's page in the Prometheus text format, as far as histograms need it.
struct MetricsPage: Sendable {
    /// Upper bounds of the buckets that contain the median and the 99th percentile, in seconds.
    struct Quantiles: Codable, Sendable, Equatable {
        var count: Int
        var p50: Double
        var p99: Double
    }

    private let lines: [Substring]

    /// Parses a page.
    init(text: String) {
        lines = text.split(separator: "\n")
    }

    /// Fetches the page of the process on a port; nil if it does not answer.
    init?(_ port: Int, _ client: HTTPClient) async {
        let request = HTTPClientRequest("GET", "http://127.0.0.1:\(port)/metrics", timeout: .seconds(10))
        guard let response = try? await client.send(request), response.status == 200 else { return nil }
        self.init(text: response.text)
    }

    /// The value of a metric without labels; nil if it is not on the page.
    func value(of name: String) -> Double? {
        lines.first { $0.hasPrefix("\(name) ") }.flatMap { Double($0.dropFirst(name.count + 1)) }
    }

    /// The values of a metric by the value of its one label.
    func values(of name: String, by label: String) -> [String: Double] {
        let start = "\(name){\(label)=\""
        var values: [String: Double] = [:]
        for line in lines where line.hasPrefix(start) {
            let rest = line.dropFirst(start.count)
            guard let end = rest.firstIndex(of: "\""), let value = line.split(separator: " ").last else { continue }
            values[String(rest[..<end])] = Double(value)
        }
        return values
    }

    /// The cumulative count at each bound.
    func buckets(of name: String) -> [(bound: Double, count: Int)] {
        lines.compactMap { line in
            guard line.hasPrefix("\(name)_bucket{"), let start = line.firstRange(of: "le=\"") else { return nil }
            let rest = line[start.upperBound...]
            guard let end = rest.firstIndex(of: "\""), let count = line.split(separator: " ").last.flatMap({ Int($0) })
            else { return nil }
            let bound = rest[..<end] == "+Inf" ? Double.infinity : Double(rest[..<end]) ?? .infinity
            return (bound, count)
        }
    }

    /// The quantiles of a histogram over several processes; nil if nothing was counted.
    static func quantiles(of name: String, in pages: [MetricsPage]) -> Quantiles? {
        var counts: [Double: Int] = [:]
        for page in pages {
            for (bound, count) in page.buckets(of: name) { counts[bound] = saturatingSum(counts[bound] ?? 0, count) }
        }
        let total = counts[.infinity] ?? 0
        guard total > 0 else { return nil }
        let greatest = counts.keys.filter(\.isFinite).max() ?? 0
        func quantile(_ share: Double) -> Double {
            let needed = whole((share * Double(total)).rounded(.up))
            return counts.sorted { $0.key < $1.key }.first { $0.value >= needed && $0.key.isFinite }?.key ?? greatest
        }
        return Quantiles(count: total, p50: quantile(0.5), p99: quantile(0.99))
    }

    /// The nearest integer; a page may contain anything, since another program may have the port by now.
    static func whole(_ value: Double) -> Int {
        if value.isNaN { return 0 }
        return Int(exactly: value.rounded(.towardZero)) ?? (value < 0 ? .min : .max)
    }

    static func saturatingSum(_ a: Int, _ b: Int) -> Int {
        let (sum, overflow) = a.addingReportingOverflow(b)
        return overflow ? (a < 0 ? .min : .max) : sum
    }
}
