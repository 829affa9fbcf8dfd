import KafkaLogs
import PostgresLogs
public import MessageLogs

/// The message logs that a test may run over: `@Test(arguments: TestedLog.available)`.
public enum TestedLog: String, Sendable, CaseIterable {
    /// A database of the test process's own cluster.
    case postgres
    /// The test process's own broker.
    case kafka

    /// Those there are here: PostgreSQL always, Kafka where there is one.
    public static var available: [Self] { PrivateKafka.isAvailable ? allCases : [.postgres] }

    /// Opens a log without topics of the test.
    ///
    /// The broker is shared with other tests, so topics and groups need names of the test's own.
    public func open() async throws -> any MessageLog {
        switch self {
        case .postgres: try await PostgresLog(address: PrivatePostgres.shared().makeDatabase())
        case .kafka: try await PrivateKafka.shared().openLog()
        }
    }
}
