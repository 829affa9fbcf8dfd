import ServiceRuntime

/// The embedding writer: embeddings in, rows out.
@main
struct App: ServiceProgram {
    static let name = "embedding-writer"
    static let summary = "Keeps the users' rows in PostgreSQL up to date with their embeddings."
    static let adminPort = 9_103
}
