import ServiceRuntime
import Tensors

/// The encoder worker: `user-events` in, each touched user's embedding out.
@main
struct App {
    static func main() async {
        ComputeRuntime.prepare()
        await Program(
            "encoder-worker",
            summary: "Keeps every user's timeline and embedding up to date with the user's events.",
            commands: [command]
        ).main()
    }

    private static let command = Command(
        summary: "Keeps every user's timeline and embedding up to date with the user's events.",
        keys: EncoderWorkerConfiguration.keys,
        kind: .service(adminPort: 9_102)
    ) { context in
        let configuration = try EncoderWorkerConfiguration(reader: context.configuration)
        try await run(configuration, context)
    }
}
