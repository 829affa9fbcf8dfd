import Bytes
import Messages
import Flows
import MessageLogs
import Testing

@testable import UserTimelines

/// Long histories of events and deletions, direct and sent on, some of them twice, taken by workers that break off.
@Suite struct ForgottenHistoryTests {
    private static let partitionCount: Int32 = 3
    private static let own: Int32 = 0
    private static let users = Array(
        (0...).lazy.map { UserID("u\($0)") }.filter {
            Partitioner.partition(of: Array($0.utf8), count: partitionCount) == own
        }.prefix(4)
    )

    /// The users' partition, and what must come of it.
    private struct History {
        var records: [Record] = []
        /// For each user the events that count, by their times.
        var expected: [UserID: [Int64]] = [:]
        /// For each other partition what lies there.
        var foreign: [Int32: [(user: UserID, time: Int64?)]] = [1: [], 2: []]

        /// How far records lie apart.
        private let distance: Int64

        init(count: Int, distance: Int64, using random: inout some RandomNumberGenerator) {
            self.distance = distance
            while records.count < count {
                let user = users.randomElement(using: &random) ?? ""
                let time = Int.random(in: 0..<4, using: &random) == 0 ? nil : Int64(records.count)
                let other = Int32.random(in: 1...2, using: &random)
                switch Int.random(in: 0..<12, using: &random) {
                case 0:
                    // The log told an old offset: from there on all are sent on again.
                    let all = foreign[other] ?? []
                    for place in Int.random(in: 0...all.count, using: &random)..<all.count { append(other, place) }
                case 1...6:
                    foreign[other, default: []].append((user, time))
                    append(other, (foreign[other]?.count ?? 0) - 1)
                    expect(user, time)
                default:
                    append(user, time, [])
                    expect(user, time)
                }
            }
        }

        private mutating func expect(_ user: UserID, _ time: Int64?) {
            if let time { expected[user, default: []].append(time) } else { expected[user] = nil }
        }

        private mutating func append(_ other: Int32, _ place: Int) {
            guard let record = foreign[other]?[place] else { return }
            append(record.user, record.time, [Header(FirstPlace.header, "\(other) \(place) 5 1")])
        }

        private mutating func append(_ user: UserID, _ time: Int64?, _ headers: [Header]) {
            records.append(
                Record(
                    source: TopicPartition(Topic.userEvents.rawValue, own),
                    offset: Int64(records.count) * distance,
                    timestamp: 0,
                    key: Array(user.utf8),
                    value: time.flatMap { try? Event(user: user, item: "i", time: $0).encoded() },
                    headers: headers
                )
            )
        }
    }

    /// A worker, and what its commits left.
    private struct Worker {
        var store = Worker.empty
        var stored: [(key: [UInt8], value: [UInt8]?)] = []
        let routing = EventRouting(partitionCount: partitionCount, ends: [1: .max, 2: .max])

        static var empty: TimelineStore {
            var store = TimelineStore(length: 10_000)
            store.open(own)
            return store
        }

        /// Takes records and commits them; of the outputs only the first are there when that breaks off.
        mutating func take(_ records: some Collection<Record>, breaksOff: (Int) -> Int?) throws -> Bool {
            let update = TimelineUpdate(applying: Array(records), to: &store, routing: routing)
            var outputs: [(key: [UInt8], value: [UInt8]?)] = []
            outputs += try update.forgotten.map { (ForgottenMarks.key, try $0.marks.encoded()) }
            outputs += update.deleted.map { (Array($0.user.utf8), nil) }
            outputs += try update.changed.map { (Array($0.timeline.user.utf8), try $0.timeline.encoded()) }
            let count = breaksOff(outputs.count)
            stored += outputs.prefix(count ?? outputs.count)
            return count == nil
        }

        mutating func restore() throws {
            store = Self.empty
            var columns = TimelineColumns()
            for (key, value) in stored {
                if key == ForgottenMarks.key {
                    store.restore(try ForgottenMarks(decoding: value ?? [], contentType: nil), in: own)
                } else if let value {
                    try columns.read(value.span)
                    try store.restore(columns, from: value.span, in: own)
                } else {
                    store.remove(UserID(String(decoding: key, as: UTF8.self)), in: own)
                }
            }
        }
    }

    /// Marks stay as they are while the records lie close together; far apart they are joined, and what is taken again is
    /// not older than the log may bring again.
    @Test(arguments: 0..<100, [1, 1_000])
    func whatIsTakenTwiceCountsOnce(round: Int, distance: Int64) throws {
        var random = SplitMix(state: UInt64(round))
        let history = History(count: 150, distance: distance, using: &random)
        let reach = Int(Timelines.repeatedCount / distance)
        var worker = Worker()
        var (position, stepCount) = (0, 0)
        while position < history.records.count {
            let end = min(history.records.count, position + Int.random(in: 1...20, using: &random))
            // Not for ever.
            let isQuiet = stepCount > 400
            let mayBreakOff = !isQuiet && Int.random(in: 0..<4, using: &random) == 0
            let isWhole = try worker.take(history.records[position..<end]) { count in
                mayBreakOff ? Int.random(in: 0...count, using: &random) : nil
            }
            let last = isWhole ? end : position
            position = last
            if !isWhole || !isQuiet && Int.random(in: 0..<4, using: &random) == 0 {
                // Another worker goes on, from an offset that may be too small.
                try worker.restore()
                if Bool.random(using: &random) {
                    position = Int.random(in: max(0, last - reach)...last, using: &random)
                }
            }
            stepCount += 1
        }
        for user in Self.users {
            let timeline = worker.store.timeline(of: user, in: Self.own)
            #expect(timeline?.events.map(\.time) == history.expected[user], "\(user)")
        }
    }
}

/// A sequence that is the same for the same start, so that what fails can be looked at.
///
/// - Source: https://prng.di.unimi.it/splitmix64.c
private struct SplitMix: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ mixed >> 30) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ mixed >> 27) &* 0x94D0_49BB_1331_11EB
        return mixed ^ mixed >> 31
    }
}
