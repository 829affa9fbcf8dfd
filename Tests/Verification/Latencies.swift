/// Durations of many like things, in milliseconds.
public struct Latencies: Codable, Sendable {
    /// How many.
    public let count: Int
    /// The median.
    public let p50: Double
    /// The 99th hundredth.
    public let p99: Double
    /// The greatest.
    public let worst: Double

    /// Sums up durations; zeros when there are none.
    public init(_ durations: [Duration]) {
        let sorted = durations.map { $0 / .milliseconds(1) }.sorted()
        func quantile(_ share: Double) -> Double {
            sorted.isEmpty ? 0 : sorted[min(sorted.count - 1, Int(share * Double(sorted.count)))]
        }
        count = sorted.count
        p50 = quantile(0.5)
        p99 = quantile(0.99)
        worst = sorted.last ?? 0
    }
}
