import PostgresClient
import Concurrency
import MessageLogs
import Synchronization

/// A reader of the log over PostgreSQL.
///
/// A member of a group asks the database for its share of the partitions when the group has changed, and at every
/// heartbeat; partitions are given up between two batches. Offsets are committed under the epoch in which the partition
/// was taken, so that an expired member can no longer commit.
actor PostgresSubscription: Subscription {
    /// What this member knows of one of its partitions.
    struct Place {
        let partition: TopicPartition
        var epoch: Int64
        /// The offset in the database; nil before the first commit.
        var committed: Int64?
        let low: Int64
        /// The next offset to read; nil while the reader has not set one.
        var position: Int64?
    }

    let settings: PostgresLogSettings
    let options: SubscriptionOptions
    private let topics: [TopicEntry]
    let log: PostgresLog
    let connection: PostgresConnection
    let member: GroupMember
    let group: String?
    private let keepsOwnOffsets: Bool

    var identifier: Int32?
    var places: [Int32: Place] = [:]
    private var surplus: [Int32] = []
    var events: [SubscriptionEvent] = []
    /// Partitions that the reader knows of and has not resumed.
    private var held: Set<TopicPartition> = []
    /// Partitions that the reader has resumed, from any task, with the low-water marks that it knows.
    private nonisolated let resumed = Mutex<[TopicPartition: Int64]>([:])
    /// Offsets of a reader that keeps its own, which were not yet sent to the group as advisory commits.
    private var unadvised: [Int32: Int64] = [:]
    var isClosed = false

    init(_ log: PostgresLog, _ options: SubscriptionOptions, _ topics: [TopicEntry]) throws(PostgresError) {
        self.log = log
        self.options = options
        self.topics = topics
        settings = log.settings
        switch options.membership {
        case .group(let name): (group, keepsOwnOffsets) = (name, false)
        case .groupWithOwnOffsets(let name): (group, keepsOwnOffsets) = (name, true)
        case .tail: (group, keepsOwnOffsets) = (nil, false)
        }
        var settings = log.settings.connection
        settings.applicationName = options.memberName
        connection = try PostgresConnection(log.address, settings)
        member = try GroupMember(
            log.address,
            settings,
            topics: topics.map(\.identifier),
            group: group,
            name: options.memberName,
            session: options.sessionTimeout,
            pollInterval: log.settings.pollInterval
        )
    }

    deinit { member.stop() }

    // MARK: - Events

    func next() async throws(StreamError) -> SubscriptionEvent? {
        var deadline = ContinuousClock.now + settings.readTimeout
        while !isClosed, !Task.isCancelled {
            if !events.isEmpty { return told(events.removeFirst()) }
            if group != nil { try await share(until: deadline) }
            if !events.isEmpty { continue }
            if let group, !unadvised.isEmpty { await advise(group) }
            if let batch = try await batch(until: deadline) { return isClosed ? nil : .batch(batch) }
            if let error = member.error {
                guard error.kind != .configuration, ContinuousClock.now <= deadline else { throw StreamError(error) }
            } else {
                // The timeout runs from the last contact with the server, however long no event has come before.
                deadline = .now + settings.readTimeout
            }
            await member.signal.wait()
        }
        return nil
    }

    /// Holds partitions from the moment their assignment is reported to the reader.
    private func told(_ event: SubscriptionEvent) -> SubscriptionEvent {
        guard options.holdsNewPartitions else { return event }
        switch event {
        case .assigned(let partitions):
            // What was resumed belongs to an earlier assignment.
            resumed.withLock { resumed in
                for partition in partitions { resumed[partition] = nil }
            }
            held.formUnion(partitions)
        case .revoked(let partitions, _): held.subtract(partitions)
        case .batch: break
        }
        return event
    }

    /// The low-water marks matter only where records are gone: the database commits offsets and outputs in one
    /// transaction.
    nonisolated func resume(_ partitions: [TopicPartition], notBefore startOffsets: [TopicPartition: Int64]) {
        resumed.withLock { resumed in
            for partition in partitions { resumed[partition] = startOffsets[partition] ?? 0 }
        }
        member.signal.raise()
    }

    func close() async {
        isClosed = true
        member.stop()
        await member.waitUntilStopped()
        await connection.close()
    }

    // MARK: - Sharing

    /// Brings what this member holds in line with the group, as events.
    private func share(until deadline: ContinuousClock.Instant) async throws(StreamError) {
        if member.takeExpiry() { loseEverything() }
        guard let current = member.identifier else { return }
        if current != identifier { loseEverything() }
        identifier = current
        guard member.takeShareDue() || !surplus.isEmpty else { return }
        try await askForShare(current, releasing: [], until: deadline)
        // The previous batch is processed, or the reader would not ask for an event.
        if !surplus.isEmpty, !isClosed { try await askForShare(current, releasing: surplus, until: deadline) }
    }

    private func askForShare(
        _ identifier: Int32,
        releasing released: [Int32],
        until deadline: ContinuousClock.Instant
    ) async throws(StreamError) {
        guard let group else { return }
        let rows: PostgresResult
        do throws(PostgresError) {
            rows = try await connection.retrying(until: deadline) { connection throws(PostgresError) in
                try await connection.query(
                    "SELECT * FROM userllm_log.share_partitions($1, $2, $3)",
                    [.text(group), .int4(identifier), .int4s(released)],
                    operation: "sharing the partitions of group \(group)"
                )
            }
        } catch {
            member.setShareDue()
            guard error.code == .expired else { throw StreamError(error) }
            member.expire(identifier)
            return
        }
        guard !isClosed else { return }
        take(rows, released: Set(released))
    }

    /// Compares the database's assignment with what this member assumed.
    private func take(_ rows: PostgresResult, released: Set<Int32>) {
        var owned: Set<Int32> = []
        var counts: [String: Int32] = [:]
        var assigned: [TopicPartition] = []
        var lost: [TopicPartition] = []
        surplus = []
        for row in 0..<rows.count {
            let identifier = rows.int4(row, 0)
            guard let partition = log.topics.place(identifier) else { continue }
            let epoch = rows.int8(row, 1)
            owned.insert(identifier)
            counts[partition.topic, default: 0] += 1
            if counts[partition.topic, default: 0] > rows.int4(row, 4) { surplus.append(identifier) }
            if let known = places[identifier] {
                if known.epoch == epoch { continue }
                lost.append(partition)
            }
            let committed = rows.optionalInt8(row, 2)
            let low = rows.int8(row, 3)
            let position = keepsOwnOffsets ? nil : committed ?? low
            places[identifier] = Place(
                partition: partition,
                epoch: epoch,
                committed: committed,
                low: low,
                position: position
            )
            assigned.append(partition)
        }
        var revoked: [TopicPartition] = []
        for (identifier, place) in places where !owned.contains(identifier) {
            places[identifier] = nil
            if released.contains(identifier) { revoked.append(place.partition) } else { lost.append(place.partition) }
        }
        if !revoked.isEmpty { events.append(.revoked(revoked.inOrder(), lost: false)) }
        if !lost.isEmpty { events.append(.revoked(lost.inOrder(), lost: true)) }
        if !assigned.isEmpty { events.append(.assigned(assigned.inOrder())) }
    }

    private func loseEverything() {
        let lost = places.values.map(\.partition).inOrder()
        places = [:]
        surplus = []
        identifier = nil
        if !lost.isEmpty { events.append(.revoked(lost, lost: true)) }
    }

    // MARK: - Reading

    func readyBatch() async throws(StreamError) -> Batch? {
        guard !isClosed, events.isEmpty, surplus.isEmpty, group == nil || !member.hasNews(for: identifier) else {
            return nil
        }
        do throws(StreamError) {
            let records = try await fetch(options.maximumBatchCount, until: .now)
            return records.isEmpty || isClosed ? nil : Batch(records: records)
        } catch {
            // `next` waits for an unreachable database, and a stop ends that wait.
            guard case .unavailable = error else { throw error }
            return nil
        }
    }

    /// Heartbeats run on their own thread; but partitions that are to move are given up only when the reader asks.
    func eventBesideRecords() async throws(StreamError) -> SubscriptionEvent? {
        guard !isClosed else { return nil }
        do throws(StreamError) {
            if events.isEmpty, group != nil { try await share(until: .now) }
        } catch {
            guard case .unavailable = error else { throw error }
        }
        return events.isEmpty || isClosed ? nil : told(events.removeFirst())
    }

    private func batch(until deadline: ContinuousClock.Instant) async throws(StreamError) -> Batch? {
        var records = try await fetch(options.maximumBatchCount, until: deadline)
        guard !records.isEmpty else { return nil }
        let missing = options.maximumBatchCount - records.count
        if missing > 0, options.linger > .zero {
            try? await Task.sleep(for: options.linger)
            if !isClosed { records += try await fetch(missing, until: deadline) }
        }
        return Batch(records: records)
    }

    /// The records available now; reading then continues after them.
    private func fetch(_ count: Int, until deadline: ContinuousClock.Instant) async throws(StreamError) -> [Record] {
        let startOffsets = resumed.withLock { resumed in
            defer { resumed = [:] }
            return resumed
        }
        held.subtract(startOffsets.keys)
        for (identifier, place) in places {
            guard let position = place.position, position < place.low, let start = startOffsets[place.partition] else {
                continue
            }
            places[identifier]?.position = max(position, start)
        }
        for place in places.values where !held.contains(place.partition) {
            if let position = place.position, position < place.low {
                throw .offsetGone(place.partition, committed: position, low: place.low)
            }
        }
        let positions = places.compactMapValues { held.contains($0.partition) ? nil : $0.position }
        guard !positions.isEmpty else { return [] }
        let fetch = RecordFetch(positions: positions, settings: settings, maximumCount: count)
        let found: RecordFetch.Found
        do throws(PostgresError) {
            found = try await connection.retrying(until: deadline) {
                [topics = log.topics] connection throws(PostgresError) in
                try await fetch.run(connection, topics)
            }
        } catch {
            throw StreamError(error)
        }
        // A reader that only follows the end has nothing to lose there.
        if group != nil, let (identifier, low) = found.gone.first, let place = places[identifier] {
            throw .offsetGone(place.partition, committed: place.position ?? 0, low: low)
        }
        for (partition, next) in Batch(records: found.records).nextOffsets {
            if let identifier = identifier(of: partition) { places[identifier]?.position = next }
        }
        return found.records
    }

    func identifier(of partition: TopicPartition) -> Int32? {
        guard let topic = log.topics.known(partition.topic), topic.partitions.indices.contains(Int(partition.partition))
        else { return nil }
        return topic.partitions[Int(partition.partition)]
    }

    func start(at offsets: [TopicPartition: Int64]) async throws(StreamError) {
        guard keepsOwnOffsets else { throw .configuration("start(at:) is for groupWithOwnOffsets only") }
        for (identifier, place) in places where place.position == nil {
            let offset = offsets[place.partition] ?? place.low
            guard offset >= place.low else {
                throw .offsetGone(place.partition, committed: offset, low: place.low)
            }
            places[identifier]?.position = offset
            if offset != place.committed { unadvised[identifier] = offset }
        }
    }

    /// Tells the group this reader's offsets, for tools that show lag: the previous owner of the partitions may have
    /// ended between its own commit and the group's.
    private func advise(_ group: String) async {
        var offsets: [TopicPartition: Int64] = [:]
        for (identifier, offset) in unadvised {
            if let place = places[identifier] { offsets[place.partition] = offset }
        }
        unadvised = [:]
        // An advisory commit: offsets that do not get through now come with the next batch.
        try? await commit(offsets, AppendBatch(), group)
    }

    /// Takes all partitions, from the first record that is younger than the given age.
    func startTail(since: Duration) async throws(StreamError) {
        let partitions = topics.flatMap(\.partitions)
        let rows: PostgresResult
        do throws(PostgresError) {
            rows = try await connection.retrying(until: .now + settings.readTimeout) {
                connection throws(PostgresError) in
                try await connection.query(
                    """
                    SELECT p.id, coalesce(r.record_offset + 1, p.low_offset), p.low_offset
                    FROM userllm_log.partitions p
                    LEFT JOIN LATERAL (
                        SELECT r.record_offset FROM userllm_log.records r
                        WHERE r.partition_id = p.id
                            AND r.appended_at < extract(epoch FROM clock_timestamp()) * 1000 - $2::int8
                        ORDER BY r.record_offset DESC LIMIT 1) r ON true
                    WHERE p.id = ANY ($1)
                    """,
                    [.int4s(partitions), .int8(since.milliseconds)],
                    operation: "looking for the newest records"
                )
            }
        } catch {
            throw StreamError(error)
        }
        for row in 0..<rows.count {
            guard let partition = log.topics.place(rows.int4(row, 0)) else { continue }
            let position = max(rows.int8(row, 1), rows.int8(row, 2))
            places[rows.int4(row, 0)] = Place(partition: partition, epoch: 0, low: 0, position: position)
        }
        events.append(.assigned(places.values.map(\.partition).inOrder()))
    }

    // MARK: - For tests

    /// Stops the heartbeat, as stopping the process would.
    func pauseHeartbeat(_ isPaused: Bool) { member.setPaused(isPaused) }
}

extension PostgresError.Code {
    /// The group gave this member up.
    static let expired = PostgresError.Code(rawValue: "UL002")
}
