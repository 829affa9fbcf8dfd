import Foundation
import MessageLogs
import TestSupport
import Testing

@testable import PostgresClient
@testable import PostgresLogs

/// What only the log over PostgreSQL promises, beside the scenarios that all logs pass.
@Suite struct PostgresLogTests {
    private func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }

    private func text(_ record: Record) -> String { String(decoding: record.value ?? [], as: UTF8.self) }

    private func records(_ topic: String, _ range: Range<Int>) -> [OutgoingRecord] {
        range.map { OutgoingRecord(topic: topic, key: bytes("\($0)"), value: bytes("\($0)")) }
    }

    private func group(_ topic: String, _ member: String, session: Duration = .seconds(6)) -> SubscriptionOptions {
        SubscriptionOptions(
            topics: [topic],
            membership: .group("g"),
            maximumBatchCount: 20,
            memberName: member,
            sessionTimeout: session
        )
    }

    private func everything(_ log: PostgresLog, _ topic: String) async throws -> [Record] {
        let all = Gathered()
        for partition in 0..<(try await log.partitionCount(of: topic) ?? 0) {
            try await log.replay(TopicPartition(topic, partition)) { await all.add($0) }
        }
        return await all.records
    }

    // MARK: - Waking

    @Test func notificationsWakeAReader() async throws {
        // Without NOTIFY the reader would look again in ten minutes.
        let settings = PostgresLogSettings(pollInterval: .seconds(600))
        let log = try await PostgresLog(address: PrivatePostgres.shared().makeDatabase(), settings: settings)
        try await log.createTopics([TopicSpecification(name: "t", partitionCount: 2, cleanup: .compact)])
        let tail = try await log.subscribe(.init(topics: ["t"], membership: .tail(since: .zero), memberName: "m"))
        try await withLimit("the reader", onTimeout: { await log.close() }) {
            guard case .assigned = try await tail.next() else { throw LogConformance.Failure("no assignment") }
            // The thread must be listening before the record comes: its first round raises the signal.
            for number in 0..<3 {
                try await log.append([OutgoingRecord(topic: "t", key: [1], value: [UInt8(number)])])
                guard case .batch(let batch) = try await tail.next() else { throw LogConformance.Failure("no batch") }
                #expect(batch.records.map(\.value) == [[UInt8(number)]])
            }
        }
        await log.close()
    }

    @Test func pollingFindsWhatNobodyTold() async throws {
        let address = try PrivatePostgres.shared().makeDatabase()
        let log = try await PostgresLog(address: address, settings: .init(pollInterval: .milliseconds(50)))
        try await log.createTopics([TopicSpecification(name: "t", partitionCount: 1, cleanup: .compact)])
        let tail = try await log.subscribe(.init(topics: ["t"], membership: .tail(since: .zero), memberName: "m"))
        try await withLimit("the reader", onTimeout: { await log.close() }) {
            guard case .assigned = try await tail.next() else { throw LogConformance.Failure("no assignment") }
            try PrivatePostgres.shared().psql(
                address,
                """
                UPDATE userllm_log.partitions SET next_offset = 1;
                INSERT INTO userllm_log.records SELECT id, 0, 5, NULL, 'x' FROM userllm_log.partitions
                """
            )
            guard case .batch(let batch) = try await tail.next() else { throw LogConformance.Failure("no batch") }
            #expect(batch.records.map(\.value) == [bytes("x")])
        }
        await log.close()
    }

    /// Records that come back at once, as questions that must wait do, keep the first partitions full.
    @Test func partitionsTakeTurnsWhenABatchHoldsFewerRecords() async throws {
        let log = try await PostgresLog(address: PrivatePostgres.shared().makeDatabase())
        try await log.createTopics([TopicSpecification(name: "t", partitionCount: 6, cleanup: .compact)])
        try await log.append((0..<6).map { OutgoingRecord(topic: "t", partition: $0, key: [1], value: [1]) })
        var options = group("t", "m")
        options.maximumBatchCount = 2
        options.linger = .zero
        let reader = try await log.subscribe(options)
        try await withLimit("the reader", onTimeout: { await log.close() }) {
            var seen: Set<Int32> = []
            while seen.count < 6 {
                guard case .batch(let batch) = try await reader.next() else { continue }
                #expect(batch.records.count == 2)
                seen.formUnion(batch.records.map(\.source.partition))
                let again = batch.records.map { record in
                    OutgoingRecord(topic: "t", partition: record.source.partition, key: [1], value: record.value)
                }
                try await reader.commit(batch, producing: again)
            }
        }
        await log.close()
    }

    @Test func aPartitionThatIsFarBehindLeavesRoomForTheOthers() async throws {
        let log = try await PostgresLog(address: PrivatePostgres.shared().makeDatabase())
        try await log.createTopics([TopicSpecification(name: "t", partitionCount: 3, cleanup: .compact)])
        try await log.append((0..<100).map { _ in OutgoingRecord(topic: "t", partition: 0, key: [1], value: [1]) })
        try await log.append((1..<3).map { OutgoingRecord(topic: "t", partition: $0, key: [1], value: [1]) })
        var options = group("t", "m")
        options.maximumBatchCount = 20
        let reader = try await log.subscribe(options)
        try await withLimit("the reader", onTimeout: { await log.close() }) {
            while true {
                guard case .batch(let batch) = try await reader.next() else { continue }
                #expect(batch.records.count == 20)
                #expect(Set(batch.records.map(\.source.partition)) == [0, 1, 2])
                return
            }
        }
        await log.close()
    }

    @Test func aClosedLogTakesNothingMore() async throws {
        let log = try await PostgresLog(address: PrivatePostgres.shared().makeDatabase())
        try await log.createTopics([TopicSpecification(name: "t", partitionCount: 1, cleanup: .compact)])
        try await log.append(records("t", 0..<1))
        await log.close()
        await #expect(throws: StreamError.closed) { try await log.append(self.records("t", 1..<2)) }
        await #expect(throws: StreamError.closed) { try await log.lag(group: "g", topic: "t") }
        await #expect(throws: StreamError.closed) { try await log.partitionCount(of: "t") }
    }

    // MARK: - Members

    @Test func stoppedMemberLosesItsPartitionsAndCannotCommit() async throws {
        let address = try PrivatePostgres.shared().makeDatabase()
        let log = try await PostgresLog(address: address)
        let topics = ["in", "out"].map { TopicSpecification(name: $0, partitionCount: 4, cleanup: .compact) }
        try await log.createTopics(topics)
        try await log.append(records("in", 0..<20))
        let zombie = try await PostgresSubscription(log, group("in", "zombie", session: .seconds(1)), [log.topic("in")])
        let other = try await PostgresLog(address: address)
        try await withLimit(
            "the group",
            onTimeout: {
                await log.close()
                await other.close()
            }
        ) {
            guard case .assigned(let partitions) = try await zombie.next(), partitions.count == 4 else {
                throw LogConformance.Failure("the first member did not get all partitions")
            }
            guard case .batch(let batch) = try await zombie.next() else { throw LogConformance.Failure("no batch") }
            await zombie.pauseHeartbeat(true)

            let heir = try await other.subscribe(group("in", "heir"))
            var owned = 0
            var read: [String] = []
            while read.count < 20 {
                switch try await heir.next() {
                case .assigned(let partitions): owned += partitions.count
                case .batch(let batch):
                    try await heir.commit(batch, producing: [])
                    read += batch.records.map(text)
                default: throw LogConformance.Failure("the heir lost partitions")
                }
            }
            #expect(owned == 4)
            #expect(Set(read) == Set((0..<20).map { "\($0)" }))

            // The zombie wakes in the middle of its commit.
            let error = await #expect(throws: StreamError.self) {
                try await zombie.commit(batch, producing: self.records("out", 0..<3))
            }
            guard case .commitRefused = error else { throw LogConformance.Failure("\(String(describing: error))") }
            #expect(try await self.everything(log, "out").isEmpty)
            guard case .revoked(let lost, lost: true) = try await zombie.next() else {
                throw LogConformance.Failure("the zombie was not told that it lost its partitions")
            }
            #expect(Set(lost).isSubset(of: partitions))

            // It comes back as a new member and gets its share again.
            await zombie.pauseHeartbeat(false)
            async let given = heir.next()
            var share = 0
            while share == 0 {
                if case .assigned(let partitions) = try await zombie.next() { share = partitions.count }
            }
            guard case .revoked(let surplus, lost: false) = try await given else {
                throw LogConformance.Failure("the heir gave nothing up")
            }
            #expect(surplus.count == 2)
            #expect((1...2).contains(share))
            await heir.close()
        }
        await zombie.close()
        await log.close()
        await other.close()
    }

    // MARK: - Broken connections

    @Test func brokenConnectionsLoseAndDoubleNothing() async throws {
        let address = try PrivatePostgres.shared().makeDatabase()
        let log = try await PostgresLog(address: address, settings: .init(appendTimeout: .seconds(600)))
        let topics = ["in", "out"].map { TopicSpecification(name: $0, partitionCount: 3, cleanup: .compact) }
        try await log.createTopics(topics)
        let done = Gathered()
        let total = 600
        try await withLimit("the flow", onTimeout: { await log.close() }) {
            try await withThrowingTaskGroup(of: Void.self) { tasks in
                for member in ["m1", "m2"] {
                    let subscription = try await log.subscribe(group("in", member))
                    tasks.addTask { try await copy(subscription, to: "out", done, total) }
                }
                tasks.addTask {
                    for start in stride(from: 0, to: total, by: 10) {
                        try await log.append(records("in", start..<(start + 10)))
                    }
                }
                tasks.addTask {
                    // However slow the machine is, something succeeds between two breaks.
                    var before = -1
                    while await done.records.count < total {
                        if await done.records.count > before {
                            before = await done.records.count
                            try PrivatePostgres.shared().endConnections(address)
                        }
                        try await Task.sleep(for: .milliseconds(Int64.random(in: 20...200)))
                    }
                }
                // The first that fails ends the others.
                for try await _ in tasks {}
            }
        }
        let values = try await everything(log, "out").compactMap { Int(text($0)) }
        #expect(values.sorted() == Array(0..<total))
        let inputs = try await everything(log, "in").compactMap { Int(text($0)) }
        #expect(inputs.sorted() == Array(0..<total))
        await log.close()
    }

    /// Copies records in the commit, until all are copied.
    private func copy(_ subscription: any Subscription, to topic: String, _ done: Gathered, _ total: Int) async throws {
        while await done.records.count < total {
            // A member without partitions must look whether the others are done.
            let event = try await withLimit("an event") {
                try await withThrowingTaskGroup(of: SubscriptionEvent?.self) { group in
                    group.addTask { try await subscription.next() }
                    group.addTask {
                        while await done.records.count < total { try await Task.sleep(for: .milliseconds(20)) }
                        return nil
                    }
                    defer { group.cancelAll() }
                    return try await group.next() ?? nil
                }
            }
            guard case .batch(let batch) = event else { continue }
            let outputs = batch.records.map { OutgoingRecord(topic: topic, key: $0.key, value: $0.value) }
            do {
                try await subscription.commit(batch, producing: outputs)
                await done.add(batch.records)
            } catch {
                guard case StreamError.commitRefused = error else { throw error }
            }
        }
        await subscription.close()
    }

    @Test func appendWaitsForAServerThatRestarts() async throws {
        let cluster = try PrivatePostgres.own()
        let log = try await PostgresLog(address: cluster.makeDatabase(), settings: .init(appendTimeout: .seconds(60)))
        try await log.createTopics([TopicSpecification(name: "t", partitionCount: 2, cleanup: .compact)])
        try await log.append(records("t", 0..<5))
        async let appended: Void = log.append(records("t", 5..<10))
        try await cluster.restart {}
        try await appended
        try await log.append(records("t", 10..<12))
        #expect(try await everything(log, "t").compactMap { Int(text($0)) }.sorted() == Array(0..<12))
        await log.close()
    }

    @Test func absentServerIsUnavailableInTime() async throws {
        let cluster = try PrivatePostgres.own()
        let settings = PostgresLogSettings(appendTimeout: .milliseconds(300), readTimeout: .milliseconds(300))
        let log = try await PostgresLog(address: cluster.makeDatabase(), settings: settings)
        try await log.createTopics([TopicSpecification(name: "t", partitionCount: 2, cleanup: .compact)])
        try await log.append(records("t", 0..<1))
        let reader = try await log.subscribe(group("t", "m"))
        try await cluster.restart {
            let error = await #expect(throws: StreamError.self) { try await log.append(records("t", 1..<2)) }
            guard case .unavailable = error else { throw LogConformance.Failure("\(String(describing: error))") }
            let read = await #expect(throws: StreamError.self) { while try await reader.next() != nil {} }
            guard case .unavailable = read else { throw LogConformance.Failure("\(String(describing: read))") }
            let opening = await #expect(throws: StreamError.self) {
                _ = try await PostgresLog(address: cluster.address())
            }
            guard case .unavailable = opening else { throw LogConformance.Failure("\(String(describing: opening))") }
        }
        await reader.close()
        await log.close()
    }

    @Test func appendThatIsAskedAboutNeverComesLate() async throws {
        let log = try await PostgresLog(address: PrivatePostgres.shared().makeDatabase())
        try await log.createTopics([TopicSpecification(name: "t", partitionCount: 1, cleanup: .compact)])
        let batch = try await log.batches(records("t", 0..<1))
        let identifier = UUID().uuidString
        func send(_ connection: PostgresConnection) async throws(PostgresError) {
            _ = try await connection.query(
                "SELECT userllm_log.append_once($1::text::uuid, $2, $3, $4, $5, $6, $7, $8)",
                [.text(identifier)] + batch[0].parameters,
                operation: "test"
            )
        }
        // Asked first: the statement that is still on its way then fails. Asked twice, because an answer may be lost too.
        for _ in 0..<2 {
            #expect(try await !log.reader.tookEffect(identifier, until: .now + .seconds(30)))
        }
        let late = await #expect(throws: PostgresError.self) { try await send(log.reader) }
        #expect(late?.code == .uniqueViolation)
        #expect(try await everything(log, "t").isEmpty)
        #expect(try await !log.reader.tookEffect(identifier, until: .now + .seconds(30)))
        await log.close()
    }
}

private actor Gathered {
    private(set) var records: [Record] = []
    func add(_ more: [Record]) { records += more }
}
