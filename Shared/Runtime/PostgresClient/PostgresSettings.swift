/// How connections to PostgreSQL behave.
public struct PostgresSettings: Sendable {
    /// The name shown in `pg_stat_activity`.
    public var applicationName: String
    /// How long connecting may take.
    public var connectTimeout: Duration
    /// How long the server may work on a statement.
    public var statementTimeout: Duration
    /// How long a transaction may be left open without a statement before the server ends it, which frees its locks.
    public var idleInTransactionTimeout: Duration
    /// How long to wait for an answer, after which the connection is given up; longer than `statementTimeout`.
    public var responseTimeout: Duration

    /// Makes settings.
    public init(
        applicationName: String = "userllm",
        connectTimeout: Duration = .seconds(5),
        statementTimeout: Duration = .seconds(20),
        idleInTransactionTimeout: Duration = .seconds(15),
        responseTimeout: Duration = .seconds(30)
    ) {
        self.applicationName = applicationName
        self.connectTimeout = connectTimeout
        self.statementTimeout = statementTimeout
        self.idleInTransactionTimeout = idleInTransactionTimeout
        self.responseTimeout = responseTimeout
    }
}

extension Duration {
    /// Whole milliseconds.
    package var milliseconds: Int64 { components.seconds * 1_000 + components.attoseconds / 1_000_000_000_000_000 }
}
