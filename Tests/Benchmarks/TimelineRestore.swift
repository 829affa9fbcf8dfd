import Foundation
import Glibc
import Bytes
import LogAddresses
import Messages
import MessageLogs
import Synchronization
import UserTimelines

/// What restoring all timelines of a log took, in the process that did it.
struct TimelineRestore: Codable {
    var users: Int
    /// Bytes of the records' keys and values.
    var recordBytes: Int
    /// Median of three.
    var restoreSeconds: Double
    /// The log read alone: median of three, each after a restore.
    var readSeconds: Double
    /// Processor time of the process in the median restore and in the median read; the log's own is not in it.
    var restoreProcessorSeconds: Double
    var readProcessorSeconds: Double
    /// Resident memory of the process before and after the first restore.
    var residentBefore: Int
    var residentAfter: Int

    /// The table's rows.
    func rows(_ log: String) -> [BenchmarkTable.Row] {
        [
            BenchmarkTable.Row(
                "restore from \(log)",
                Double(users) / restoreSeconds,
                "users/s",
                against: ("the log read alone", Double(users) / readSeconds)
            ),
            BenchmarkTable.Row(
                "processor time of the restore, \(log)",
                restoreProcessorSeconds / Double(users) * 1e6,
                "µs/user",
                against: ("the log read alone", readProcessorSeconds / Double(users) * 1e6)
            ),
            BenchmarkTable.Row("record in \(log)", Double(recordBytes) / Double(users), "bytes"),
            BenchmarkTable.Row(
                "memory a user, \(log)",
                Double(residentAfter - residentBefore) / Double(users),
                "bytes"
            ),
            BenchmarkTable.Row("memory of the process, \(log)", Double(residentAfter) / 1e6, "MB"),
        ]
    }

    /// Restores three times, as an encoder worker does, and reads three times.
    static func measure(from address: String, length: Int) async throws -> TimelineRestore {
        let log = try await openLog(address)
        let topic = Topic.userTimelines.rawValue
        let partitions = (0..<(try await log.partitionCount(of: topic) ?? 0)).map { TopicPartition(topic, $0) }
        let before = residentByteCount
        var after = 0
        var users = 0
        var restores: [Time] = []
        var reads: [Time] = []
        let bytes = Atomic<Int>(0)
        for round in 0..<3 {
            let timelines = Timelines(length: length, partitionCount: Int32(partitions.count))
            restores.append(
                try await time {
                    for partition in partitions {
                        await timelines.open(partition.partition)
                        let ends = [partition.partition: Int64.max]
                        try await log.replay(partition) { _ = await timelines.restore($0[...], ends: ends) }
                    }
                }
            )
            if round == 0 {
                after = residentByteCount
                users = await timelines.size.users
            }
            reads.append(
                try await time {
                    for partition in partitions {
                        try await log.replay(partition) { records in
                            let sum = records.reduce(0) { $0 + ($1.key?.count ?? 0) + ($1.value?.count ?? 0) }
                            bytes.add(sum, ordering: .relaxed)
                        }
                    }
                }
            )
        }
        await log.close()
        return TimelineRestore(
            users: users,
            recordBytes: bytes.load(ordering: .relaxed) / 3,
            restoreSeconds: restores.map(\.wall).sorted()[1],
            readSeconds: reads.map(\.wall).sorted()[1],
            restoreProcessorSeconds: restores.map(\.processor).sorted()[1],
            readProcessorSeconds: reads.map(\.processor).sorted()[1],
            residentBefore: before,
            residentAfter: after
        )
    }

    /// Seconds that something took.
    private struct Time {
        let wall: Double
        let processor: Double
    }

    private static func time(_ body: () async throws -> Void) async rethrows -> Time {
        let start = ContinuousClock.now
        let processor = processorSeconds
        try await body()
        return Time(wall: (ContinuousClock.now - start) / .seconds(1), processor: processorSeconds - processor)
    }

    /// Processor time of all threads of this process.
    private static var processorSeconds: Double {
        var time = timespec()
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) * 1e-9
    }

    /// Resident memory of this process.
    static var residentByteCount: Int {
        let text = (try? String(contentsOfFile: "/proc/self/statm", encoding: .utf8)) ?? ""
        let pages = text.split(separator: " ").dropFirst().first.flatMap { Int($0) } ?? 0
        return pages * sysconf(Int32(_SC_PAGESIZE))
    }
}
