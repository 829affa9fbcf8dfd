import PostgresClient
import MessageLogs

extension StreamError {
    /// What a failure of the database means for the log.
    init(_ error: PostgresError) {
        switch error.kind {
        case .fenced: self = .commitRefused(error.message)
        case .configuration: self = .configuration(Self.advice(error))
        case .connection, .retry: self = .unavailable("\(error)")
        case .data, .other: self = .fatal("\(error)")
        }
    }

    private static func advice(_ error: PostgresError) -> String {
        let advice =
            switch error.code.rawValue {
            case "3D000": "create it with `createdb`, or let `userllm up` make a database"
            case "28P01", "28000": "check the user and the password, which PGPASSFILE or the address gives"
            case "42501": "give the user the right to create schemas in this database"
            default: "check the database's address and version"
            }
        return "\(error): \(advice)"
    }
}

/// Runs a call of the database for the log.
func streaming<Result>(
    _ body: () async throws(PostgresError) -> Result
) async throws(StreamError) -> Result {
    do throws(PostgresError) {
        return try await body()
    } catch {
        throw StreamError(error)
    }
}
