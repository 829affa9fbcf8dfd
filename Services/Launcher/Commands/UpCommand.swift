import ServiceRuntime

/// `userllm up`: runs the system until Ctrl-C.
enum UpCommand {
    /// The command as the program lists it.
    static let command = Command(
        "up",
        summary: "Starts the whole system on this machine, and stops it on Ctrl-C",
        keys: SystemConfiguration.keys
    ) { context in
        let configuration = try SystemConfiguration(reader: context.configuration)
        let console = Console()
        let system = RunningSystem(configuration, console: console, logger: context.logger)
        try await context.run("up") { shutdown in
            try await system.run(until: shutdown) { state in
                announce(state, configuration, console)
                return true
            }
            console.say("stopped")
        }
    }

    /// Announces that the system is up, and its addresses.
    static func announce(_ state: SystemState, _ configuration: SystemConfiguration, _ console: Console) {
        console.say("up, with model version \(state.modelVersion)")
        for address in state.gateways { console.say("questions: \(address)/v1/questions") }
        for address in state.ingestors { console.say("events:    \(address)/v1/events") }
        console.say("logs in \(configuration.data)/logs; `userllm status --data \(configuration.data)` shows more")
    }
}
