import Concurrency
import Foundation

/// A connection to PostgreSQL for tasks: each call waits on a thread of its own, and connects first when there is none.
public actor PostgresConnection {
    private let executor: BlockingExecutor
    private let link: PostgresLink

    /// The thread that waits.
    public nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

    /// Makes a connection that connects at its first use.
    ///
    /// - Parameters:
    ///   - address: a `postgresql://` URL or a `key=value` text.
    ///   - settings: time limits and the name the server shows.
    /// - Throws: `PostgresError` when the address cannot be read.
    public init(address: String, settings: PostgresSettings = PostgresSettings()) throws(PostgresError) {
        try self.init(PostgresAddress(address), settings)
    }

    package init(_ address: PostgresAddress, _ settings: PostgresSettings) throws(PostgresError) {
        guard let pipe = WakePipe() else { throw PostgresError.noDescriptors }
        link = PostgresLink(address, settings, pipe)
        executor = BlockingExecutor(label: "userllm.postgres")
    }

    /// Connects, unless there is a connection.
    public func connect() throws(PostgresError) { try link.connect() }

    /// Runs a statement; it is prepared once for each connection.
    ///
    /// - Parameters:
    ///   - sql: one statement with `$1`, `$2` and so on; of a bounded number of different texts.
    ///   - parameters: their values, sent in binary.
    ///   - operation: what an error says was being done.
    /// - Returns: the rows, in binary.
    /// - Throws: `PostgresError`; with `isOutcomeUnknown` the statement may have taken effect.
    public func query(
        _ sql: String,
        _ parameters: [PostgresValue] = [],
        operation: String
    ) throws(PostgresError) -> PostgresResult {
        try link.connect()
        return try link.query(sql, parameters, operation)
    }

    /// Runs a text of one or more statements without parameters, in one transaction unless it says otherwise.
    public func execute(_ script: String, operation: String) throws(PostgresError) {
        try link.connect()
        try link.execute(script, operation)
    }

    /// Closes the connection; the next call opens it again.
    public func close() { link.disconnect() }
}

extension PostgresError {
    package static let noDescriptors = PostgresError(
        code: PostgresError.Code(rawValue: "53000"),
        message: "the process has no file descriptors left: raise `ulimit -n`",
        operation: "making a connection"
    )
}
