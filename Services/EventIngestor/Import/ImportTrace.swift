import Messages
import MessageLogs
import Synchronization

/// The position in the log of an import's record.
struct LogPlace: Encodable, Equatable, Sendable {
    /// The partition of the topic.
    var partition: Int32
    /// The record's offset there.
    var offset: Int64
    /// Which event of the import it is.
    var number: Int
}

/// What the log has of an import: a header of each record names the import and the event's number.
///
/// The id is random and never reused, so a record that has it at the recorded offset shows that this is the log which
/// took it. Record counts do not show that, because other logs may have as many. Nor do the names that brokers and
/// servers give themselves: these stay the same when topics are recreated, or when an older state is restored.
struct ImportTrace: Sendable {
    private static let headerName = "import"

    let log: any MessageLog
    let partitionCount: Int32
    /// The import's id.
    let id: String
    /// The topic of its records.
    var topic = Topic.userEvents.rawValue

    /// What is at a log position.
    enum Finding: Equatable {
        /// The expected record.
        case record
        /// Nothing any more: the log has deleted records of that age.
        case deleted
        /// Nothing yet, or something else; described in words.
        case other(String)
    }

    /// The header of a record of the import.
    func header(_ number: Int) -> Header { Header(Self.headerName, "\(id)/\(number)") }

    /// The event number of a record; nil if the record belongs to another import, or to none.
    private func number(of record: Record) -> Int? {
        guard let value = record.header(Self.headerName), value.hasPrefix("\(id)/") else { return nil }
        return Int(value.dropFirst(id.count + 1))
    }

    // MARK: - Finding records

    /// Which of some events the log does not have; reads the whole topic.
    func missing(of numbers: Range<Int>) async throws(StreamError) -> Set<Int> {
        let found = Found<Set<Int>>([])
        for partition in 0..<partitionCount {
            try await replay(partition, last: nil) { record in
                if let number = number(of: record), numbers.contains(number) {
                    found.change { $0.insert(number) }
                }
                return true
            }
        }
        return Set(numbers).subtracting(found.value)
    }

    /// The position of an event, or of any event if none is named; nil if the log does not have it.
    ///
    /// Reads up to the whole topic.
    func place(of wanted: Int? = nil) async throws(StreamError) -> LogPlace? {
        for partition in 0..<partitionCount {
            if let place = try await place(of: wanted, in: partition, last: nil) { return place }
        }
        return nil
    }

    /// The position of an event that was just appended; nil if too many records came after it, or it is not visible
    /// yet.
    func latestPlace(of number: Int, user: [UInt8]) async throws(StreamError) -> LogPlace? {
        let partition = Partitioner.partition(of: user, count: partitionCount)
        for count in [200, 20_000, 1_000_000] as [Int64] {
            // The lookup can be left to the next time, so it does not wait for another client's open transaction.
            if let place = try await place(of: number, in: partition, last: count, waits: false) { return place }
        }
        return nil
    }

    private func place(
        of wanted: Int?,
        in partition: Int32,
        last count: Int64?,
        waits: Bool = true
    ) async throws(StreamError) -> LogPlace? {
        let found = Found<LogPlace?>(nil)
        try await replay(partition, last: count, waits: waits) { record in
            guard let number = number(of: record), number == wanted ?? number else { return true }
            found.change { $0 = LogPlace(partition: partition, offset: record.offset, number: number) }
            return false
        }
        return found.value
    }

    /// Looks at a position.
    func look(at place: LogPlace) async throws(StreamError) -> Finding {
        guard place.partition < partitionCount else {
            return .other("the topic has \(partitionCount) partitions")
        }
        let partition = TopicPartition(topic, place.partition)
        var (low, high) = try await log.watermarks(of: partition)
        var margin: Int64 = 1_000
        while true {
            guard place.offset >= low else { return .deleted }
            guard place.offset < high else { return .other("the partition ends at offset \(high)") }
            let found = Found<Record?>(nil)
            try await replay(place.partition, last: high - place.offset + margin) { record in
                guard record.offset >= place.offset else { return true }
                if record.offset == place.offset { found.change { $0 = record } }
                return false
            }
            if let record = found.value {
                return number(of: record) == place.number ? .record : .other("another record is there")
            }
            // The read counts back from the end, which may have moved past the margin in the meantime.
            let before = high
            (low, high) = try await log.watermarks(of: partition)
            guard high - before > margin else { return .other("no record is there") }
            margin = (high - before) * 4
        }
    }

    // MARK: - Reading

    /// Reads records of a partition until `body` has enough and returns false.
    private func replay(
        _ partition: Int32,
        last count: Int64?,
        waits: Bool = true,
        _ body: @escaping @Sendable (Record) -> Bool
    ) async throws(StreamError) {
        do {
            try await log.replay(
                TopicPartition(topic, partition),
                last: count,
                waitingForOpenTransactions: waits
            ) { records in
                for record in records where !body(record) { throw Enough() }
            }
        } catch is Enough {
        } catch {
            throw error as? StreamError ?? .fatal("\(error)")
        }
    }

    /// Ends a replay early.
    private struct Enough: Error {}

    /// What a replay found.
    private final class Found<Value: Sendable>: Sendable {
        private let state: Mutex<Value>
        init(_ value: Value) { state = Mutex(value) }
        var value: Value { state.withLock { $0 } }
        func change(_ body: (inout Value) -> Void) { state.withLock { body(&$0) } }
    }
}
