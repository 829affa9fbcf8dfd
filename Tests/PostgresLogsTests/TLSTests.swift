import Bytes
import Messages
import MessageLogs
import TestSupport
import Testing

@testable import PostgresClient
@testable import PostgresLogs
@testable import EmbeddingStore

/// TLS, on a server with a certificate of the test's own.
@Suite(.serialized, .timeLimit(.minutes(15))) struct TLSTests {
    private let cluster: PrivatePostgres
    /// The certificate that verifies the server.
    private let root: String
    private let plain: String

    init() throws {
        cluster = try PrivatePostgres.own(listens: true)
        root = try cluster.enableTLS()
        plain = try cluster.address(cluster.makeDatabaseName(), port: try #require(cluster.port))
    }

    private func address(root: String, host: String = "127.0.0.1") -> String {
        plain.replacing("postgres@127.0.0.1", with: "postgres:s3cret@\(host)")
            + "?sslmode=verify-full&sslrootcert=\(root)"
    }

    @Test func theLogItsNotificationsAndTheTableWorkOverAVerifiedConnection() async throws {
        // Without NOTIFY the reader would look again in ten minutes.
        let log = try await PostgresLog(address: address(root: root), settings: .init(pollInterval: .seconds(600)))
        try await log.createTopics([TopicSpecification(name: "t", partitionCount: 1, cleanup: .compact)])
        let tail = try await log.subscribe(.init(topics: ["t"], membership: .tail(since: .zero), memberName: "m"))
        let large = (0..<1_000_000).map { UInt8(truncatingIfNeeded: $0 &* 7) }
        try await withLimit("the reader", onTimeout: { await log.close() }) {
            guard case .assigned = try await tail.next() else { throw LogConformance.Failure("no assignment") }
            for value in [[1], [2], large] {
                try await log.append([OutgoingRecord(topic: "t", key: [1], value: value)])
                guard case .batch(let batch) = try await tail.next() else { throw LogConformance.Failure("no batch") }
                #expect(batch.records.map(\.value) == [value])
            }
        }
        let table = try await EmbeddingTable(database: address(root: root))
        try await table.migrate()
        #expect(try await table.claim(partitions: [TopicPartition("t", 0)], group: "w", owner: "a") == [:])
        let connections = """
            SELECT count(*) FILTER (WHERE ssl) >= 4, count(*) FILTER (WHERE NOT ssl)
            FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)
            WHERE datname = current_database() AND pid <> pg_backend_pid()
            """
        #expect(try cluster.psql(plain, connections) == "t|0\n")
        await table.close()
        await log.close()
    }

    @Test func aServerThatIsNotVerifiedIsNamedWithoutThePassword() async throws {
        let addresses = [
            ("certificate verify failed", address(root: try cluster.makeCertificate("other"))),
            ("does not match host name", address(root: root, host: "localhost")),
            ("does not exist", address(root: "/nowhere/root.crt")),
        ]
        for (reason, address) in addresses {
            let errors: [String?] = [
                await #expect(throws: StreamError.self) { _ = try await PostgresLog(address: address) }?.description,
                await #expect(throws: PostgresError.self) { _ = try await EmbeddingTable(database: address) }?
                    .description,
            ]
            for error in errors {
                #expect(error?.contains(reason) == true, "\(error ?? "no error")")
                #expect(error?.contains("s3cret") == false)
            }
        }
    }
}
