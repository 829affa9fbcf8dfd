public import PostgresClient
public import ServiceRuntime

extension PostgresError: ExitCodeError {
    /// 78 for credentials or a schema that the program cannot use, 69 for a database that is unreachable, 1 for the
    /// rest.
    public var exitCode: ExitCode {
        switch kind {
        case .configuration: .configuration
        case .connection, .retry: .unavailable
        case .data, .fenced, .other: .failure
        }
    }
}
