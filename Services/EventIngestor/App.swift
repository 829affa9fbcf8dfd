import ServiceRuntime

/// The event ingestor: events over HTTP, or from a file, into `user-events`.
@main
struct App {
    static func main() async {
        await Program("event-ingestor", summary: summary, commands: [serve, importFile, replayRejected]).main()
    }

    private static let summary =
        "Takes events over HTTP or from a file, and answers when the log has made them durable."

    private static let serve = Command(
        summary: summary,
        keys: EventIngestorConfiguration.keys,
        kind: .service(adminPort: 9_101)
    ) { context in
        let configuration = try EventIngestorConfiguration(reader: context.configuration)
        try await run(configuration, context)
    }

    private static let importFile = Command(
        "import",
        summary: "Sends the events of a file, each exactly once, also when it is stopped and started again.",
        arguments: [CommandArgument("path", help: "a file of events, or the folder of a data set")],
        keys: ImportConfiguration.keys
    ) { context in
        let path = try context.argument("path") ?? { throw ConfigurationError.usage("PATH is missing") }()
        let configuration = try ImportConfiguration(path: path, reader: context.configuration)
        try await run(configuration, context)
    }

    private static let replayRejected = Command(
        "replay-rejected",
        summary: "Sends the rejected records of a topic to it once more, each exactly once.",
        keys: ReplayConfiguration.keys
    ) { context in
        let configuration = try ReplayConfiguration(reader: context.configuration)
        try await run(configuration, context)
    }
}
