import ServiceRuntime

/// The gateway: questions over HTTP into `questions`, answers from `answers` and `answer-tokens` back.
@main
struct App {
    static func main() async {
        await Program("gateway", summary: summary, commands: [command]).main()
    }

    private static let summary = "Takes questions over HTTP and gives their answers, whole or as a stream."

    private static let command = Command(
        summary: summary,
        keys: GatewayConfiguration.keys,
        kind: .service(adminPort: 9_100)
    ) { context in
        let configuration = try GatewayConfiguration(reader: context.configuration)
        try await run(configuration, context)
    }
}
