import Datasets
import Foundation
import Bytes
import ServiceRuntime
import UserModels
import Verification

/// `verify replay`: every row equals the offline encoding of its user's full history.
enum ReplayCommand {
    private enum Order: String, CaseIterable, ConfigurationValue {
        case time
        case file
        case interleaved
    }

    private static let dataKey = ConfigurationKey<String>(
        "data",
        help: "A MovieLens folder; without one, viewers of an invented world"
    )
    private static let viewersKey = ConfigurationKey<Int>(
        "viewers",
        default: 400,
        in: 1...1_000_000,
        help: "How many viewers of the invented world"
    )
    private static let orderKey = ConfigurationKey<Order>(
        "order",
        default: .time,
        help: "time: as import's default; file: as they stand there; interleaved: all users at once"
    )
    private static let killKey = ConfigurationKey<Bool>(
        "kill",
        default: false,
        help: "Ends each service once with kill -9 on the way"
    )

    /// The command as the program lists it.
    static let command = Command(
        "replay",
        summary: "Sends a data set through the system and compares every row with the offline encoding",
        keys: [dataKey, viewersKey, orderKey, killKey] + SystemUnderTest.keys
    ) { context in
        let reader = context.configuration
        let test = try SystemUnderTest(reader: reader)
        let data = try reader.optionalValue(of: dataKey)
        let viewers = try reader.value(of: viewersKey)
        let order = try reader.value(of: orderKey).rawValue
        let kills = try reader.value(of: killKey) ? allServices : []
        let catalogue = try data.map { try MovieLensFolder(path: $0).catalogue() } ?? test.world.catalogue
        let result = try await test.run(catalogue: catalogue) { system, bundle, folder in
            let source: EventSource =
                try data.map { EventSource.movieLens($0) }
                ?? EventSource.synthetic(test.world, viewers: viewers, in: folder)
            return try await ReplayVerification(
                system,
                source,
                bundle: bundle,
                order: order,
                kills: kills,
                say: test.say
            ).run()
        } text: { (result: ReplayVerification.Result) in
            [
                ("events", "\(result.events), \(result.source)"),
                ("killed on the way", result.killed.isEmpty ? "nothing" : result.killed.joined(separator: ", ")),
                ("event to row", "\(Int(result.eventsPerSecond)) events/s (\(Int(result.seconds)) s in all)"),
                ("rows", "\(result.rows.foundRows) of \(result.rows.expectedRows)"),
                ("worst difference", "\(result.rows.worstDifference) (at most \(OfflineRows.tolerance))"),
                ("rows equal", result.isRight ? "yes" : "NO"),
            ] + SystemUnderTest.shown(result.rows.mismatches)
        }
        if !result.isRight { throw ProcessFailure("rows differ from the offline encoding") }
    }

    /// Each service; the import is not one of them, it is the client.
    private static let allServices = [
        "encoder-worker", "embedding-writer", "llm-responder", "event-ingestor", "gateway",
    ]
}
