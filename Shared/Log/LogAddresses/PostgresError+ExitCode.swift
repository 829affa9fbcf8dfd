public import PostgresClient
public import ServiceRuntime

extension PostgresError: ExitCodeError {
    /// 78 for credentials or a schema that are not what the program needs, 69 for a database that is away, 1 for the rest.
    public var exitCode: ExitCode {
        switch kind {
        case .configuration: .configuration
        case .connection, .retry: .unavailable
        case .data, .fenced, .other: .failure
        }
    }
}
