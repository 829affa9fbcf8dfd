import ServiceRuntime

/// `verify`: holds the running system to its promises, on real data if it is given.
@main
struct App {
    static func main() async {
        await Program(
            "verify",
            summary: "Starts the real system, sends it events and questions, and compares with what must come of them.",
            commands: [
                ReplayCommand.command, QuestionsCommand.command, FreshnessCommand.command, ScalingCommand.command,
                FaultsCommand.command,
            ]
        ).main()
    }
}
