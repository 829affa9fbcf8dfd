import LogAddresses
import Messages
import EmbeddingStore
import ServiceRuntime
import Bytes
import MessageLogs
import UserModels

/// What is checked before the first process is started.
enum Preflight {
    private static let patience: Duration = .seconds(30)

    /// Checks that a configured log and database can be reached.
    ///
    /// - Throws: `ProcessFailure` with the address and what to do.
    static func checkAddresses(_ configuration: SystemConfiguration) async throws {
        if let address = configuration.log {
            try await reach("the message log", at: address) {
                _ = try await withLog(address) { try await $0.partitionCount(of: Topic.userEvents.rawValue) }
            }
        }
        if let address = configuration.database {
            try await reach("the database", at: address) {
                let table = try await EmbeddingTable(database: address)
                await table.close()
            }
        }
    }

    private static func reach(
        _ what: String,
        at address: String,
        _ body: @escaping @Sendable () async throws -> Void
    ) async throws {
        let shown = Redaction.address(address)
        do {
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await body() }
                group.addTask {
                    try await Task.sleep(for: patience)
                    throw ProcessFailure("no answer within \(patience.configurationText)")
                }
                defer { group.cancelAll() }
                try await group.next()
            }
        } catch {
            throw ProcessFailure(
                "\(what) at \(shown) cannot be used: \(FailureText.sentence(error)). Start it, or correct the address; nothing was started",
                exitCode: .unavailable
            )
        }
    }

    /// Checks that the rows are of the bundle's version.
    ///
    /// - Throws: `ProcessFailure` if they are not and that was not accepted.
    static func checkVersion(
        of bundle: ModelBundle,
        against table: EmbeddingTable,
        _ configuration: SystemConfiguration
    ) async throws {
        let versions = try await table.modelVersions()
        guard !versions.isEmpty, !configuration.acceptsNewModel,
            !versions.contains(where: { $0.version == bundle.version })
        else { return }
        let found = versions.map { "\($0.rows) of version \($0.version)" }.joined(separator: ", ")
        throw ProcessFailure(
            "the bundle \(configuration.bundle) has version \(bundle.version), but the database has rows \(found): "
                + "name the bundle of the rows with --bundle, or start with --accept-new-model, "
                + "and each user's row follows with the user's next event",
            exitCode: .configuration
        )
    }
}
