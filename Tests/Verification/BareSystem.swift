import Datasets
import Foundation
import Bytes
import LogAddresses
public import Messages
import EmbeddingStore
import Flows
public import MessageLogs

/// A log, a database and a tiny model without any process: a test starts those it needs, one by one.
public struct BareSystem: Sendable {
    /// The message log's address.
    public let address: String
    /// The database's address.
    public let database: String
    /// The folder of everything.
    public let folder: String
    /// The message log.
    public let log: any MessageLog
    /// The folder of the model bundle.
    public var bundle: String { "\(folder)/bundle" }

    /// Makes topics, tables and model.
    ///
    /// - Parameters:
    ///   - address: the message log's address; nil is the database.
    ///   - database: an empty database.
    ///   - folder: an empty folder.
    ///   - topics: the topics.
    /// - Throws: what the log, the database or the file system throws.
    public init(
        log address: String? = nil,
        database: String,
        folder: String,
        topics: [TopicSpecification] = TopicSpecification.system(partitionCount: 2)
    ) async throws {
        self.address = address ?? database
        self.database = database
        self.folder = folder
        log = try await openLog(self.address)
        try await log.createTopics(topics)
        let table = try await EmbeddingTable(database: database)
        try await table.migrate()
        await table.close()
        try SmallBundle.write(to: "\(folder)/bundle", catalogue: SyntheticWorld().catalogue)
    }

    /// Starts a process of a service.
    public func start(
        _ program: String,
        _ instance: String = "0",
        failpoints: String = "",
        without protections: String = "",
        sessionTimeout: Duration = .seconds(2),
        further: [String] = []
    ) async throws -> ServiceProcess {
        var options = ServiceProcess.Options(
            program,
            instance: instance,
            log: address,
            database: database,
            bundle: bundle,
            folder: folder
        )
        options.failpoints = failpoints
        options.withoutProtection = protections
        options.sessionTimeout = sessionTimeout
        options.further = further
        return try await ServiceProcess.start(options)
    }

    /// Appends events of users in turn, past the ingestor, without ids: nothing but offsets tells them apart.
    ///
    /// - Parameters:
    ///   - users: how many users, `u0` and on.
    ///   - rounds: which events of each; of equal numbers the events are equal.
    /// - Throws: `StreamError`.
    public func append(users: Int, rounds: Range<Int>) async throws {
        try await log.append(try records(users: users, rounds: rounds))
    }

    /// Appends such events to partitions that are not their users', half of them without a key, and says how many.
    @discardableResult
    public func appendMisplaced(users: Int, rounds: Range<Int>) async throws -> Int {
        var records = try records(users: users, rounds: rounds)
        let count = try await log.partitionCount(of: Topic.userEvents.rawValue) ?? 1
        for index in records.indices {
            let right = Partitioner.partition(of: records[index].key ?? [], count: count)
            records[index].partition = (right + 1) % count
            if index.isMultiple(of: 2) { records[index].key = nil }
        }
        try await log.append(records)
        return records.count
    }

    private func records(users: Int, rounds: Range<Int>) throws -> [OutgoingRecord] {
        var records: [OutgoingRecord] = []
        for round in rounds {
            for user in 0..<users {
                let event = Event(
                    user: "u\(user)",
                    item: "f\((user * 31 + round * 7) % 300 + 1)",
                    rating: Float(round % 5 + 1),
                    time: 1_700_000_000_000 + Int64(round) * 60_000
                )
                records.append(
                    OutgoingRecord(
                        topic: Topic.userEvents.rawValue,
                        key: Array(event.user.utf8),
                        value: try event.encoded()
                    )
                )
            }
        }
        return records
    }

    /// Waits until all events are encoded, and all embeddings written where `rows` says so.
    public func waitUntilDrained(rows: Bool = true, within limit: Duration = longestWait) async throws {
        if rows { return try await Progress(log).waitUntilDrained(within: limit) }
        try await poll("all events are encoded", within: limit) {
            try await log.lag(group: ConsumerGroup.encoderWorker, topic: Topic.userEvents.rawValue) == 0
        }
    }

    /// What is wrong with what is kept.
    public func problems(hasForeignEmbeddings: Bool = false) async throws -> [String] {
        try await check(hasForeignEmbeddings: hasForeignEmbeddings).problems
    }

    /// All records of `user-embeddings`, in order within a partition.
    public func embeddings() async throws -> [Record] {
        try await folding(Topic.userEmbeddings.rawValue, of: log, into: [Record]()) { $0.append($1) }
    }

    /// Compares topics, offsets and rows.
    public func check(hasForeignEmbeddings: Bool = false) async throws -> FaultsCheck.Findings {
        try await FaultsCheck(
            log,
            database: database,
            bundle: bundle,
            hasForeignEmbeddings: hasForeignEmbeddings
        ).run()
    }
}
