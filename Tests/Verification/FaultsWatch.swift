import Bytes
import LogAddresses
import Messages
import ServiceRuntime
import Flows
import MessageLogs

/// Looks at rows and offsets again and again while faults happen: nothing of it may ever go back.
actor FaultsWatch {
    private let address: String
    private let database: String
    private var counts: [UserID: Int64] = [:]
    private var writerOffsets: [Int32: Int64] = [:]
    private var workerOffsets: [TopicPartition: Int64] = [:]
    /// How often the rows could be read.
    private(set) var looks = 0
    /// What went back, and when.
    private(set) var problems: [String] = []

    init(log address: String, database: String) {
        self.address = address
        self.database = database
    }

    /// Looks until `shutdown`; a database or log that is away is asked again later.
    nonisolated func run(until shutdown: Shutdown) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await self.watchRows(until: shutdown) }
            // What Kafka's groups have committed is all still there afterwards: OffsetsHistory.
            if !address.hasPrefix("kafka") { group.addTask { try await self.watchLog(until: shutdown) } }
            try await group.waitForAll()
        }
    }

    private nonisolated func watchRows(until shutdown: Shutdown) async throws {
        let connection = try FaultsDatabase(database)
        while !shutdown.isRequested {
            if let counts = try? await connection.counts() { await take(counts) }
            if let offsets = try? await connection.writerOffsets() { await take(offsets) }
            try await shutdown.wait(atMost: .milliseconds(250))
        }
        await connection.close()
    }

    private nonisolated func watchLog(until shutdown: Shutdown) async throws {
        var log: (any MessageLog)?
        while !shutdown.isRequested {
            do {
                if log == nil { log = try await openLog(address) }
                if let log { try await lookAtWorkers(log) }
            } catch {
                await log?.close()
                log = nil
            }
            try await shutdown.wait(atMost: .milliseconds(500))
        }
        await log?.close()
    }

    private nonisolated func lookAtWorkers(_ log: any MessageLog) async throws {
        await take(
            try await log.committedOffsets(group: ConsumerGroup.encoderWorker, topic: Topic.userEvents.rawValue)
        )
    }

    private func take(_ now: [UserID: Int64]) {
        looks += 1
        for (user, count) in counts where !FaultsLoad.isForgettable(user) {
            let found = now[user] ?? 0
            if found < count { note("the row of \(user) went from \(count) events back to \(found)") }
        }
        counts = now
    }

    private func take(_ now: [Int32: Int64]) {
        for (partition, offset) in writerOffsets where now[partition] ?? 0 < offset {
            note("the writers' offset of partition \(partition) went from \(offset) back to \(now[partition] ?? 0)")
        }
        writerOffsets = now
    }

    private func take(_ now: [TopicPartition: Int64]) {
        for (partition, offset) in now {
            if let before = workerOffsets[partition], before > offset {
                note("the workers' offset of \(partition) went from \(before) back to \(offset)")
            }
            workerOffsets[partition] = offset
        }
    }

    private func note(_ problem: String) {
        if problems.count < 20 { problems.append(problem) }
    }
}
