import ServiceRuntime
import Tensors

/// `benchmarks`: what the numerics do per second, for comparison with a peer on the same machine.
@main
struct App {
    static func main() async {
        ComputeRuntime.prepare()
        await Program(
            "benchmarks",
            summary: "Measures the numerics; each command prints one JSON object.",
            commands: [EncoderCommand.command, TimelinesCommand.command]
        ).main()
    }
}
