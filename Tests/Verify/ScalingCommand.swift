import Catalogues
import Datasets
import Foundation
import Bytes
import Messages
import ServiceRuntime
import Verification

/// `verify scaling`: more and fewer processes while events flow; `--table`: how fast 1, 2 and 4 workers are.
enum ScalingCommand {
    private static let dataKey = ConfigurationKey<String>(
        "data",
        help: "A MovieLens folder; without one, viewers of an invented world"
    )
    private static let viewersKey = ConfigurationKey<Int>(
        "viewers",
        default: 1_000,
        in: 1...1_000_000,
        help: "How many viewers of the invented world"
    )
    private static let rateKey = ConfigurationKey<Int>(
        "rate",
        default: 400,
        in: 1...1_000_000,
        unit: "events/s",
        help: "How many events are sent meanwhile; fewer than one worker can do"
    )
    private static let tableKey = ConfigurationKey<Bool>(
        "table",
        default: false,
        help: "Replays the data with 1, 2 and 4 encoder workers instead, sorted by user and interleaved"
    )
    private static let interleavedKey = ConfigurationKey<Int>(
        "interleaved-events",
        default: 100_000,
        in: 1...100_000_000,
        unit: "events",
        help: "With --table: the most events that are sent with all users in turn"
    )

    /// The command as the program lists it.
    static let command = Command(
        "scaling",
        summary: "Changes the number of processes while events flow; --table measures 1, 2 and 4 encoder workers",
        keys: [dataKey, viewersKey, rateKey, tableKey, interleavedKey] + SystemUnderTest.keys
    ) { context in
        let reader = context.configuration
        let test = try SystemUnderTest(reader: reader)
        let world = Source(
            data: try reader.optionalValue(of: dataKey),
            viewers: try reader.value(of: viewersKey),
            world: test.world
        )
        if try reader.value(of: tableKey) {
            try await measure(test, world, interleaved: try reader.value(of: interleavedKey))
        } else {
            try await scale(test, world, rate: try reader.value(of: rateKey))
        }
    }

    /// Where the events come from.
    private struct Source {
        let data: String?
        let viewers: Int
        let world: SyntheticWorld

        func catalogue() throws -> Catalogue {
            try data.map { try MovieLensFolder(path: $0).catalogue() } ?? world.catalogue
        }

        func histories() throws -> [[Event]] {
            try data.map { try EventSource.movieLens($0).histories() } ?? (0..<viewers).map { world.viewer($0).events }
        }

        var label: String { data ?? "\(viewers) viewers of an invented world" }
    }

    private static func scale(_ test: SystemUnderTest, _ source: Source, rate: Int) async throws {
        var test = test
        (test.workers, test.writers) = (1, 1)
        let histories = try source.histories()
        let result = try await test.run(catalogue: try source.catalogue()) { [test] system, bundle, _ in
            try await ScalingVerification(system, bundle: bundle, histories: histories, rate: rate, say: test.say).run()
        } text: { (result: ScalingVerification.Result) in
            [("events", "\(result.events) of \(result.users) users in turn, \(Int(result.eventsPerSecond)) a second")]
                + result.steps.map { step in
                    (
                        step.change,
                        "done after \(seconds(step.secondsUntilDone)), lag flat after \(seconds(step.secondsUntilFlat))"
                            + " (\(step.greatestLag) records at most); no row for \(Int(step.longestPause)) ms at most,"
                            + " of one partition for \(Int(step.longestPauseOfOnePartition)) ms"
                    )
                } + [
                    ("longest stop of all", "\(Int(result.longestPause)) ms"),
                    ("rows that went back", "\(result.wentBack.count), in \(result.looks) looks at all rows"),
                    ("rows", "\(result.rows.foundRows) of \(result.rows.expectedRows)"),
                    ("worst difference", "\(result.rows.worstDifference) (at most \(OfflineRows.tolerance))"),
                    ("all right", result.isRight ? "yes" : "NO"),
                ] + SystemUnderTest.shown(result.rows.mismatches + result.wentBack)
        }
        if !result.isRight { throw ProcessFailure("rows differ from the offline encoding, or went back") }
    }

    private static func seconds(_ value: Double) -> String {
        "\(value.formatted(.number.precision(.fractionLength(1)))) s"
    }

    // MARK: - The table

    private struct Measurement: Codable, Sendable {
        /// `sorted`: users one after the other; `interleaved`: all users in turn.
        var order: String
        var workers: Int
        var events: Int
        var seconds: Double
        var eventsPerSecond: Double
        /// Whether every row equals the offline encoding.
        var isRight: Bool
    }

    private struct Table: Codable, Sendable {
        var source: String
        var cores: Int
        var measurements: [Measurement]
    }

    private static func measure(_ test: SystemUnderTest, _ source: Source, interleaved limit: Int) async throws {
        let histories = try source.histories()
        var table = Table(source: source.label, cores: ProcessInfo.processInfo.activeProcessorCount, measurements: [])
        for order in ["sorted", "interleaved"] {
            for workers in [1, 2, 4] {
                var test = test
                test.workers = workers
                let result = try await test.withSystem(catalogue: try source.catalogue()) { system, bundle, folder in
                    let events =
                        order == "sorted"
                        ? try EventSource.sorted(histories, in: folder, label: source.label)
                        : try EventSource.interleaved(histories, limit: limit, in: folder, label: source.label)
                    return try await ReplayVerification(system, events, bundle: bundle).run()
                }
                table.measurements.append(
                    Measurement(
                        order: order,
                        workers: workers,
                        events: result.events,
                        seconds: result.seconds,
                        eventsPerSecond: result.eventsPerSecond,
                        isRight: result.isRight
                    )
                )
                test.say("\(order), \(workers) workers: \(Int(result.eventsPerSecond)) events/s")
            }
        }
        try test.show(table) { table in
            [("source", table.source), ("cores", "\(table.cores)")]
                + table.measurements.map { one in
                    let name = "\(one.order), \(one.workers) encoder worker\(one.workers == 1 ? "" : "s")"
                    return (
                        name,
                        "\(Int(one.eventsPerSecond)) events/s (\(one.events) events in \(seconds(one.seconds)))"
                            + (one.isRight ? "" : ", ROWS DIFFER")
                    )
                }
        }
        guard table.measurements.allSatisfy(\.isRight) else {
            throw ProcessFailure("rows differ from the offline encoding")
        }
    }
}
