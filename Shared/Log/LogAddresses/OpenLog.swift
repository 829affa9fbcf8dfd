import KafkaLogs
import PostgresLogs
import Bytes
public import MessageLogs
public import ServiceRuntime

/// Opens the message log of an address: `kafka://host:port,...` or `postgresql://...`.
///
/// The only code that knows that there are two.
///
/// - Parameters:
///   - address: the address.
///   - logger: receives background failures that no caller waits for; nil for short-lived uses.
/// - Returns: the log.
/// - Throws: `StreamError.configuration` for another scheme, and what the log throws when it cannot be reached.
public func openLog(_ address: String, logger: Logger? = nil) async throws(StreamError) -> any MessageLog {
    if address.hasPrefix("kafka://") { return try await KafkaLog(address: address) }
    if address.hasPrefix("postgresql://") || address.hasPrefix("postgres://") {
        var settings = PostgresLogSettings()
        settings.maintenanceFailed = { reason, count in
            // Old records stay, and the disk fills, until a removal succeeds.
            logger?.warning(
                "old records of the log were not removed",
                metadata: ["error": reason, "failures": String(count)]
            )
        }
        return try await PostgresLog(address: address, settings: settings)
    }
    throw .configuration(
        "log: \"\(Redaction.address(address))\" is no address of a message log: "
            + "it begins with kafka:// or postgresql://"
    )
}

/// Opens the message log of an address for as long as `body` takes, and closes it however that ends.
///
/// - Returns: what `body` gives.
/// - Throws: what `openLog` and `body` throw.
public func withLog<Value: Sendable>(
    _ address: String,
    _ body: (any MessageLog) async throws -> Value
) async throws -> Value {
    let log = try await openLog(address)
    do {
        let value = try await body(log)
        await log.close()
        return value
    } catch {
        await log.close()
        throw error
    }
}
