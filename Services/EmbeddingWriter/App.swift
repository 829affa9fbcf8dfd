import ServiceRuntime

/// The embedding writer: embeddings in, rows out.
@main
struct App {
    private static let summary = "Keeps the users' rows in PostgreSQL up to date with their embeddings."

    static func main() async {
        await Program("embedding-writer", summary: summary, commands: [command]).main()
    }

    private static let command = Command(
        summary: summary,
        keys: EmbeddingWriterConfiguration.keys,
        kind: .service(adminPort: 9_103)
    ) { context in
        let configuration = try EmbeddingWriterConfiguration(reader: context.configuration)
        try await run(configuration, context)
    }
}
