import Datasets
import ServiceRuntime
import UserModels

/// `trainer evaluate world`: asks a bundle about viewers whose taste changes, and compares the answers with the truth.
enum EvaluateWorldCommand {
    private static let viewers = ConfigurationKey<Int>(
        "viewers",
        default: 100,
        in: 1...1_000_000,
        help: "How many viewers are asked about; none of them was trained on"
    )
    private static let events = ConfigurationKey<Int>(
        "events",
        default: 20,
        in: 1...10_000,
        help: "How many events of another genre each viewer has before being asked about again"
    )

    static var command: Command {
        Command(
            "evaluate world",
            summary: "Ask a bundle about viewers of the synthetic world whose taste changes",
            arguments: [
                CommandArgument("world", help: "A folder that trainer synthesize wrote"),
                CommandArgument("bundle", help: "The folder of a model bundle that was trained on it"),
            ],
            keys: [viewers, events],
            work: "evaluation in the synthetic world"
        ) { context in
            let reader = context.configuration
            let (folder, bundle) = (try context.required("world"), try context.required("bundle"))
            let count = try reader.value(of: viewers)
            let newEvents = try reader.value(of: events)
            return { _ in
                let start = ContinuousClock.now
                let evaluation = WorldEvaluation(
                    bundle: try ModelBundle.load(bundle),
                    world: try SyntheticWorld(folder: folder),
                    newEvents: newEvents
                )
                let result = try evaluation.evaluate(viewers: count)
                var report = Report()
                report.add("protocol", "world")
                report.add("bundle", evaluation.bundle.version)
                // A world is a function of its configuration; there is no prepared data set to hash.
                report.addUnknown("data_hash")
                report.add("seed", evaluation.world.configuration.seed)
                report.add("viewers", result.viewers)
                report.add("new_events", newEvents)
                report.add("title_of_favourite_genre_before", result.rightBefore)
                report.add("title_of_new_genre_before", result.newGenreBefore)
                report.add("title_of_new_genre_after", result.rightAfter)
                report.add("title_already_seen_after", result.seenAfter)
                report.add("seconds", (ContinuousClock.now - start).inSeconds)
                report.add("commit", SourceCommit.current)
                return report
            }
        }
    }
}
