import Foundation
import Synchronization
import Testing

@testable import ServiceRuntime

@Suite struct MetricsTests {
    @Test func showsOnlyTheSeriesThatAreThereNow() {
        let registry = MetricsRegistry()
        let values = Mutex(["1": 2.0, "0": 1.5])
        registry.gauges("x_lag", help: "Lag", label: "partition") { values.withLock { $0 } }
        #expect(registry.text.hasSuffix("x_lag{partition=\"0\"} 1.5\nx_lag{partition=\"1\"} 2\n"))
        values.withLock { $0 = ["1": 3] }
        #expect(registry.text.hasSuffix("# TYPE x_lag gauge\nx_lag{partition=\"1\"} 3\n"))
    }

    @Test func writesPrometheusText() {
        let registry = MetricsRegistry()
        let accepted = registry.counter("x_events_total", help: "Events", labels: ["result": "ok"])
        accepted.increment(by: 3)
        registry.counter("x_events_total", help: "Events", labels: ["result": "a\"b\\c\nd"]).increment()
        registry.gauge("x_lag", help: "Lag").set(2.5)
        registry.gauge("x_size", help: "Size") { 7 }
        let histogram = registry.histogram("x_seconds", help: "Time", bounds: [0.1, 1])
        for value in [0.05, 0.1, 0.5, 3] { histogram.observe(value) }
        #expect(
            registry.text == """
                # HELP x_events_total Events
                # TYPE x_events_total counter
                x_events_total{result="a\\"b\\\\c\\nd"} 1
                x_events_total{result="ok"} 3
                # HELP x_lag Lag
                # TYPE x_lag gauge
                x_lag 2.5
                # HELP x_seconds Time
                # TYPE x_seconds histogram
                x_seconds_bucket{le="0.1"} 2
                x_seconds_bucket{le="1"} 3
                x_seconds_bucket{le="+Inf"} 4
                x_seconds_sum 3.65
                x_seconds_count 4
                # HELP x_size Size
                # TYPE x_size gauge
                x_size 7

                """
        )
        #expect(registry.counter("x_events_total", help: "Events", labels: ["result": "ok"]) === accepted)
    }

    @Test func boundsTheSeriesOfAMetric() {
        let registry = MetricsRegistry()
        for number in 0..<500 { registry.counter("x_total", help: "x", labels: ["n": "\(number)"]).increment() }
        #expect(registry.text.split(separator: "\n").count <= 203)
        #expect(registry.text.contains("x_total{n=\"other\"} 300"))
    }

    @Test func writesLogLines() {
        let entry = LogEntry(
            time: Date(timeIntervalSince1970: 1_700_000_000.5),
            level: .warning,
            label: "gateway",
            message: "slow \"log\"",
            metadata: ["b": "two\nlines", "a.b": "1"]
        )
        #expect(
            StreamLogHandler.jsonLine(entry)
                == "{\"time\":\"2023-11-14T22:13:20.500Z\",\"level\":\"warning\",\"label\":\"gateway\","
                + "\"message\":\"slow \\\"log\\\"\",\"a.b\":\"1\",\"b\":\"two\\nlines\"}\n"
        )
        #expect(
            StreamLogHandler.humanLine(entry)
                == "2023-11-14T22:13:20.500Z warning  gateway: slow \"log\" a.b=1 b=two | lines\n"
        )
    }
}
