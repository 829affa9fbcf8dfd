import ServiceRuntime

/// The event ingestor: events over HTTP, or from a file, into `user-events`.
@main
struct App: ServiceProgram {
    typealias Configuration = EventIngestorConfiguration

    static let name = "event-ingestor"
    static let summary = "Takes events over HTTP or from a file, and answers when the log has made them durable."
    static let adminPort = 9_101
    static let otherCommands = [importFile, replayRejected]

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
        configuration: ReplayConfiguration.self,
        run: run
    )
}
