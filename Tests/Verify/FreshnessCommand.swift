import Datasets
import Bytes
import ServiceRuntime
import Verification

/// `verify freshness`: event accepted, row visible, seen by the next answer.
enum FreshnessCommand {
    private static let countKey = ConfigurationKey<Int>(
        "count",
        default: 300,
        in: 1...1_000_000,
        help: "How many events are followed"
    )

    /// The command as the program lists it.
    static let command = Command(
        "freshness",
        summary: "Measures how long an event takes to be in its user's row and in the next answer",
        keys: [countKey] + SystemUnderTest.keys
    ) { context in
        let reader = context.configuration
        let test = try SystemUnderTest(reader: reader)
        let count = try reader.value(of: countKey)
        let result = try await test.run(catalogue: test.world.catalogue) { system, _, _ in
            try await FreshnessVerification(system, world: test.world, count: count).run()
        } text: { result in
            [
                ("events", "\(result.events)"),
                ("accepted to row", SystemUnderTest.shown(result.eventToRow)),
                ("accepted to answer", SystemUnderTest.shown(result.eventToAnswer)),
            ] + SystemUnderTest.shown(result.mismatches)
        }
        if !result.isRight { throw ProcessFailure("an answer did not know the event before it") }
    }
}
