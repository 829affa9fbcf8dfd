import ServiceRuntime

/// `userllm`: the whole system on one machine.
@main
struct App {
    static func main() async {
        await Program(
            "userllm",
            summary: "Runs the whole system on this machine, and asks it.",
            commands: [
                UpCommand.command, DemoCommand.command, AskCommand.command, StatusCommand.command, ScaleCommand.command,
            ]
        ).main()
    }
}
