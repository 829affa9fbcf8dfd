import Glibc
import Bytes
import Messages
import RandomNumbers
import UserTimelines

/// How fast the store is without a log, on one thread: in seconds of the processor, so that what runs beside it does not
/// count.
enum TimelineStoreSpeed {
    /// Applies events until every timeline is full, then to full timelines, without and with ids; and restores records that
    /// lie in memory.
    static func measure(users: Int, length: Int) throws -> [BenchmarkTable.Row] {
        let source = TimelineSource()
        var random = SeededRandom(seed: 7)
        let names = (0..<users).map { TimelineSource.user($0) }
        // Some thousand events that are taken in turn: making them is not what is measured.
        let events = (0..<20_000).map { _ in source.event(at: 0, &random) }
        let order = (0..<users).map { _ in random.below(users) }
        var store = TimelineStore(length: length)
        store.open(0)
        var offset: Int64 = 0
        func apply(rounds: Int, _ users: [Int], withIDs: Bool = false) -> Double {
            let start = processorSeconds
            for _ in 0..<rounds {
                for user in users {
                    var event = events[Int(offset % 20_000)]
                    event.time = 950_000_000_000 + offset / 10 * 1_000
                    if withIDs { event.idDigest = UInt64(offset + 1) &* 0x9E37_79B9_7F4A_7C15 }
                    _ = store.apply(event, of: names[user], in: 0, offset: offset)
                    offset += 1
                }
            }
            return Double(rounds * users.count) / (processorSeconds - start)
        }
        let filling = apply(rounds: length, Array(names.indices))
        let full = apply(rounds: 10, order)
        let bytes = Double(store.byteCount) / Double(users)
        let identified = apply(rounds: 10, order, withIDs: true)
        return [
            BenchmarkTable.Row("events applied, timelines filling up", filling, "events/s"),
            BenchmarkTable.Row("events applied to full timelines", full, "events/s"),
            BenchmarkTable.Row("the same, with 1,000 earlier items", withEarlierItems(events, length), "events/s"),
            BenchmarkTable.Row("events with ids applied to full timelines", identified, "events/s"),
            BenchmarkTable.Row("bytes of a timeline in the store", bytes, "bytes"),
            BenchmarkTable.Row("records restored from memory", try restore(source, length), "users/s"),
            BenchmarkTable.Row("timelines written as records", try encode(source, length), "users/s"),
        ]
    }

    /// Applies events of users who have had more items than are remembered, each again and again.
    private static func withEarlierItems(_ events: [TimelineEvent], _ length: Int) -> Double {
        var store = TimelineStore(length: length)
        store.open(0)
        var offset: Int64 = 0
        func apply(rounds: Int) -> Double {
            let start = processorSeconds
            for _ in 0..<rounds {
                for user in 0..<50 {
                    _ = store.apply(events[Int(offset % 20_000)], of: TimelineSource.user(user), in: 0, offset: offset)
                    offset += 1
                }
            }
            return Double(rounds * 50) / (processorSeconds - start)
        }
        _ = apply(rounds: 3_000)
        return apply(rounds: 1_000)
    }

    private static func restore(_ source: TimelineSource, _ length: Int) throws -> Double {
        let records = try (0..<20_000).map { try source.timeline(ofUser: $0, length: length).encoded() }
        var store = TimelineStore(length: length)
        var columns = TimelineColumns()
        let start = processorSeconds
        for round in 0..<5 {
            store.open(Int32(round))
            for record in records {
                try columns.read(record.span)
                try store.restore(columns, from: record.span, in: Int32(round))
            }
        }
        return 100_000 / (processorSeconds - start)
    }

    private static func encode(_ source: TimelineSource, _ length: Int) throws -> Double {
        let timelines = (0..<20_000).map { source.timeline(ofUser: $0, length: length) }
        var bytes = 0
        let start = processorSeconds
        for timeline in timelines { bytes += try timeline.encoded().count }
        precondition(bytes > 0)
        return 20_000 / (processorSeconds - start)
    }

    private static var processorSeconds: Double {
        var time = timespec()
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) * 1e-9
    }
}
