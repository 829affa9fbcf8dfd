import Datasets
import Foundation
import ServiceRuntime
import SystemClient
import UserModels

/// `userllm demo`: a synthetic world, a small model of it, the system, and ten users whose taste changes.
enum DemoCommand {
    private static let onceKey = ConfigurationKey<Bool>(
        "once",
        default: false,
        help: "Ends after the tables instead of staying up"
    )
    private static let usersKey = ConfigurationKey<Int>(
        "users",
        default: 10,
        in: 1...200,
        unit: "users",
        help: "How many users to show"
    )
    private static let seedKey = ConfigurationKey<UInt64>(
        "seed",
        default: 1,
        help: "Makes the invented world; another seed needs another data folder"
    )
    private static let trainingKey = ConfigurationKey<Duration>(
        "training-limit",
        default: .seconds(240),
        in: .seconds(10) ... .seconds(36_000),
        help: "The longest that training the small model may take, when there is none yet"
    )

    /// The command as the program lists it.
    static let command = Command(
        "demo",
        summary: "Trains a small model of an invented world if there is none, starts the system, feeds and asks it",
        keys: SystemConfiguration.keys + [onceKey, usersKey, seedKey, trainingKey]
    ) { context in
        let configuration = try SystemConfiguration(reader: context.configuration)
        let once = try context.configuration.value(of: onceKey)
        let users = try context.configuration.value(of: usersKey)
        guard configuration.counts.values.allSatisfy({ $0 > 0 }) else {
            throw ConfigurationError.conflict("the demo needs at least one process of each service")
        }
        let training = DemoTraining(
            data: configuration.data,
            bundle: configuration.bundle,
            seed: try context.configuration.value(of: seedKey),
            limit: try context.configuration.value(of: trainingKey)
        )
        let console = Console()
        let system = RunningSystem(configuration, console: console, logger: context.logger)
        try await context.run("demo") { shutdown in
            try await system.run(until: shutdown) {
                try await training.makeBundleIfMissing(console, until: shutdown)
            } whileUp: { state in
                UpCommand.announce(state, configuration, console)
                let client = SystemClient(gateway: state.gateways[0], ingestor: state.ingestors[0])
                let demonstration = Demonstration(
                    world: try training.world(),
                    timelineLength: try ModelBundle.load(configuration.bundle).timelineLength,
                    client: client,
                    console: console
                )
                try await demonstration.run(users: users)
                if !once { console.say("staying up; Ctrl-C ends it") }
                return !once
            }
            console.say("stopped")
        }
    }
}
