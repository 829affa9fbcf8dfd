import ServiceRuntime
import Tensors

/// `benchmarks`: what the numerics and the streams do per second, each beside a peer on the same machine.
@main
struct App {
    static func main() async {
        ComputeRuntime.prepare()
        await Program(
            "benchmarks",
            summary: "Measures the numerics and the streams, each beside what it is compared with.",
            commands: [
                EncoderCommand.command, IngestionCommand.command, AppendCommand.command, WorkerCommand.command,
                ReroutingCommand.command,
                WriterCommand.command, FreshnessCommand.command, TimelinesCommand.command, JSONCommand.command,
                WaitingCommand.command, LanguageModelCommand.command, AnswersCommand.command,
            ]
        ).main()
    }
}
