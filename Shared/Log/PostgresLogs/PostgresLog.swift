public import PostgresClient
import Failpoints
import Foundation
public import MessageLogs
import Synchronization

/// How the message log over PostgreSQL behaves.
public struct PostgresLogSettings: Sendable {
    /// How its connections behave.
    public var connection: PostgresSettings
    /// The largest record: key, value and headers together.
    public var maximumRecordByteCount: Int
    /// The largest batch that a subscription gives, unless one record is larger.
    public var maximumBatchByteCount: Int
    /// How long `append` and `commit` retry while the server is unreachable.
    public var appendTimeout: Duration
    /// How long `next` and queries retry while the server is unreachable.
    public var readTimeout: Duration
    /// How often a reader polls for records although no notification arrived.
    public var pollInterval: Duration
    /// How often old records are removed; every process tries, and one at a time does it.
    public var maintenanceInterval: Duration
    /// How long tombstones are kept in a compacted topic, for readers that lag behind.
    public var tombstoneRetention: Duration
    /// A compacted partition is cleaned once it has this many new records, and as many as half of what it held.
    public var compactionThreshold: Int
    /// Receives why a removal of old records failed, and how many have failed in a row; called on a thread that must
    /// not block.
    public var maintenanceFailed: @Sendable (_ reason: String, _ count: Int) -> Void

    /// Makes settings.
    public init(
        connection: PostgresSettings = PostgresSettings(),
        maximumRecordByteCount: Int = 1_048_576,
        maximumBatchByteCount: Int = 16 << 20,
        appendTimeout: Duration = .seconds(15),
        readTimeout: Duration = .seconds(30),
        pollInterval: Duration = .milliseconds(250),
        maintenanceInterval: Duration = .seconds(30),
        tombstoneRetention: Duration = .seconds(86_400),
        compactionThreshold: Int = 2_000,
        maintenanceFailed: @escaping @Sendable (_ reason: String, _ count: Int) -> Void = { _, _ in }
    ) {
        self.connection = connection
        self.maximumRecordByteCount = maximumRecordByteCount
        self.maximumBatchByteCount = maximumBatchByteCount
        self.appendTimeout = appendTimeout
        self.readTimeout = readTimeout
        self.pollInterval = pollInterval
        self.maintenanceInterval = maintenanceInterval
        self.tombstoneRetention = tombstoneRetention
        self.compactionThreshold = compactionThreshold
        self.maintenanceFailed = maintenanceFailed
    }
}

/// The message log over PostgreSQL: topics, partitions, groups and records are rows of the schema `userllm_log`.
public final class PostgresLog: MessageLog {
    let address: PostgresAddress
    let settings: PostgresLogSettings
    let topics = TopicDirectory()
    let reader: PostgresConnection
    private let writer: PostgresConnection
    private let appender: Appender
    private let maintenance: LogMaintenance
    private let subscriptions = OpenSubscriptions()
    private let isClosed = Atomic<Bool>(false)

    /// Connects, and creates the log's schema if it does not exist.
    ///
    /// - Parameters:
    ///   - address: a `postgresql://` URL or a `key=value` text.
    ///   - settings: limits and intervals.
    /// - Throws: `.configuration` when the address, the user or the schema's version is wrong, `.unavailable` when the
    ///   server cannot be reached.
    public init(address: String, settings: PostgresLogSettings = PostgresLogSettings()) async throws(StreamError) {
        self.settings = settings
        do throws(PostgresError) {
            self.address = try PostgresAddress(address)
            reader = try PostgresConnection(self.address, settings.connection)
            writer = try PostgresConnection(self.address, settings.connection)
            appender = Appender(writer, timeout: settings.appendTimeout)
            maintenance = try LogMaintenance(self.address, settings)
            try await SchemaMigration.messageLog.apply(reader)
            try await CheckedFunction.commitBatch.prepare(reader)
        } catch {
            throw StreamError(error)
        }
        maintenance.start()
    }

    deinit { maintenance.stop() }

    // MARK: - Records

    /// Appends records and returns when all of them are durable.
    public func append(_ records: [OutgoingRecord]) async throws(StreamError) {
        for batch in try await batches(records, maximumCount: 10_000) { try await appender.append(batch) }
    }

    /// The records in the database's format, in as many pieces as the limit requires.
    func batches(_ records: [OutgoingRecord], maximumCount: Int = .max) async throws(StreamError) -> [AppendBatch] {
        var batches: [AppendBatch] = []
        var batch = AppendBatch()
        for record in records {
            let partition = try await partition(of: record)
            if batch.count >= maximumCount || (maximumCount < .max && batch.byteCount >= 8 << 20) {
                batches.append(batch)
                batch = AppendBatch()
            }
            batch.add(record, to: partition)
        }
        return batch.count > 0 ? batches + [batch] : batches
    }

    /// The id of the partition a record goes to, after its size was checked.
    private func partition(of record: OutgoingRecord) async throws(StreamError) -> Int32 {
        var byteCount = (record.key?.count ?? 0) + (record.value?.count ?? 0)
        for header in record.headers { byteCount += header.name.utf8.count + header.value.count }
        guard byteCount <= settings.maximumRecordByteCount else {
            throw .tooLarge(topic: record.topic, byteCount: byteCount, limit: settings.maximumRecordByteCount)
        }
        let partitions = try await topic(record.topic).partitions
        if let number = record.partition {
            guard partitions.indices.contains(Int(number)) else {
                throw .configuration("\(record.topic) has partitions 0 to \(partitions.count - 1), not \(number)")
            }
            return partitions[Int(number)]
        }
        guard let key = record.key else { return partitions[Int.random(in: partitions.indices)] }
        return partitions[Int(Partitioner.partition(of: key, count: Int32(partitions.count)))]
    }

    /// The entry of a topic that must exist.
    func topic(_ name: String) async throws(StreamError) -> TopicEntry {
        try checkOpen()
        if let known = topics.known(name) { return known }
        let found = try await streaming { [topics, reader, settings] () async throws(PostgresError) in
            try await reader.retrying(until: .now + settings.readTimeout) { connection throws(PostgresError) in
                try await topics.find(name, connection)
            }
        }
        guard let found else { throw .unknownTopic(name) }
        return found
    }

    // MARK: - Reading

    /// Joins a group that shares the topics' partitions, or reads all partitions alone.
    public func subscribe(_ options: SubscriptionOptions) async throws(StreamError) -> any Subscription {
        var entries: [TopicEntry] = []
        for name in Set(options.topics).sorted() { entries.append(try await topic(name)) }
        let subscription: PostgresSubscription
        do throws(PostgresError) {
            subscription = try PostgresSubscription(self, options, entries)
        } catch {
            throw StreamError(error)
        }
        if case .tail(let since) = options.membership { try await subscription.startTail(since: since) }
        subscriptions.add(subscription)
        return subscription
    }

    /// Reads the live records of a partition up to its end at the time of the call.
    ///
    /// It always waits for a transaction that is adding records now, which takes no longer than a commit.
    public func replay(
        _ partition: TopicPartition,
        last count: Int64?,
        waitingForOpenTransactions waits: Bool,
        _ body: @Sendable ([Record]) async throws -> Void
    ) async throws {
        let identifier = try await self.identifier(of: partition)
        let connection = try PostgresConnection(address, settings.connection)
        let deadline = ContinuousClock.now + settings.readTimeout
        // FOR SHARE waits for a transaction that is adding records to the partition now.
        let barrier = Protection.restoreBarrier.isOff ? "" : "FOR SHARE"
        let end = try await streaming { () async throws(PostgresError) in
            try await connection.retrying(until: deadline) { connection throws(PostgresError) in
                try await connection.query(
                    "SELECT next_offset FROM userllm_log.partitions WHERE id = $1 \(barrier)",
                    [.int4(identifier)],
                    operation: "looking for the end of \(partition)"
                ).int8(0, 0)
            }
        }
        @Sendable func piece(from start: Int64) async throws -> [Record] {
            guard start < end else { return [] }
            let fetch = RecordFetch(
                positions: [identifier: start],
                ends: [identifier: end],
                settings: settings,
                maximumCount: 2_000
            )
            return try await streaming { [topics, settings] () async throws(PostgresError) in
                try await connection.retrying(until: .now + settings.readTimeout) { connection throws(PostgresError) in
                    try await fetch.run(connection, topics).records
                }
            }
        }
        var records = try await piece(from: count.map { max(0, end - $0) } ?? 0)
        while let last = records.last {
            // The next piece is read while this one is processed.
            async let following = piece(from: last.offset + 1)
            try await body(records)
            records = try await following
        }
        await connection.close()
    }

    func identifier(of partition: TopicPartition) async throws(StreamError) -> Int32 {
        let partitions = try await topic(partition.topic).partitions
        guard partitions.indices.contains(Int(partition.partition)) else {
            throw .configuration(
                "\(partition.topic) has partitions 0 to \(partitions.count - 1), not \(partition.partition)"
            )
        }
        return partitions[Int(partition.partition)]
    }

    /// Removes old records now, instead of in the background thread's next round.
    ///
    /// - Returns: false when another process is doing it.
    @discardableResult
    public func maintain() async throws(StreamError) -> Bool {
        try await streaming { [address, settings] () async throws(PostgresError) in
            try await LogMaintenance.round(address, settings)
        }
    }

    /// Throws once the log is closed, because a closed connection would open again at its next use.
    func checkOpen() throws(StreamError) {
        if isClosed.load(ordering: .acquiring) { throw .closed }
    }

    /// Ends all work and closes all connections.
    public func close() async {
        isClosed.store(true, ordering: .releasing)
        maintenance.stop()
        await subscriptions.closeAll()
        await maintenance.waitUntilStopped()
        await writer.close()
        await reader.close()
    }
}
