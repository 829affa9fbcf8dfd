import Messages
import MessageLogs
import Synchronization

/// Where in the log a record of an import lies.
struct LogPlace: Encodable, Equatable, Sendable {
    /// The partition of the topic.
    var partition: Int32
    /// The record's offset there.
    var offset: Int64
    /// Which event of the import it is.
    var number: Int
}

/// What the log has of an import: each of its records says in a header whose it is, and which.
///
/// The id is drawn for each import and never the same twice, so a record that has it where it was left shows that the log
/// is the one which took it. Counts of records do not, as other logs have as many; nor do names that brokers and servers
/// give themselves, which stay as they are when topics are made anew, or when an older state is put in their place.
struct ImportTrace: Sendable {
    private static let headerName = "import"

    let log: any MessageLog
    let partitionCount: Int32
    /// The import's.
    let id: String
    /// Where its records go.
    var topic = Topic.userEvents.rawValue

    /// What is at a place.
    enum Finding: Equatable {
        /// The record that was left there.
        case record
        /// Nothing any more: the log has deleted what is as old.
        case deleted
        /// Nothing yet, or something else; in words.
        case other(String)
    }

    /// The header of a record of the import.
    func header(_ number: Int) -> Header { Header(Self.headerName, "\(id)/\(number)") }

    /// Which event of the import a record is; nil when it is of another, or of none.
    private func number(of record: Record) -> Int? {
        guard let value = record.header(Self.headerName), value.hasPrefix("\(id)/") else { return nil }
        return Int(value.dropFirst(id.count + 1))
    }

    // MARK: - Some of its records

    /// Which of some events the log does not have; reads all of the topic.
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

    /// Where an event lies, or any where none is named; nil when the log does not have it.
    ///
    /// Reads up to all of the topic.
    func place(of wanted: Int? = nil) async throws(StreamError) -> LogPlace? {
        for partition in 0..<partitionCount {
            if let place = try await place(of: wanted, in: partition, last: nil) { return place }
        }
        return nil
    }

    /// Where an event lies that the log took just now; nil when too many records came after it, or it cannot be seen yet.
    func latestPlace(of number: Int, user: [UInt8]) async throws(StreamError) -> LogPlace? {
        let partition = Partitioner.partition(of: user, count: partitionCount)
        for count in [200, 20_000, 1_000_000] as [Int64] {
            // It can be left for the next time, so that an open transaction of somebody else is no reason to wait.
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

    /// Looks at a place.
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
            // What is read is counted from the end, which may have moved past the margin meanwhile.
            let before = high
            (low, high) = try await log.watermarks(of: partition)
            guard high - before > margin else { return .other("no record is there") }
            margin = (high - before) * 4
        }
    }

    // MARK: - Reading

    /// Reads records of a partition until `body` has enough and gives false.
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

    /// Ends a replay of which no more is needed.
    private struct Enough: Error {}

    /// What a replay found.
    private final class Found<Value: Sendable>: Sendable {
        private let state: Mutex<Value>
        init(_ value: Value) { state = Mutex(value) }
        var value: Value { state.withLock { $0 } }
        func change(_ body: (inout Value) -> Void) { state.withLock { body(&$0) } }
    }
}
