public import MessageLogs

/// Where a record of `user-events` was first read before it was rerouted to its key's partition: the content of the
/// header `userllm-rerouted`, by which consumers can recognize a record that they have seen before.
///
/// A header comes from outside, so each number is validated when it is read, and the offset when it is used.
public struct FirstPlace: Sendable, Equatable {
    /// The partition it was first read in.
    public let partition: Int32
    /// Its offset there.
    public let offset: Int64
    /// When the log appended it there, in milliseconds since 1970.
    public let timestamp: Int64
    /// How often it was rerouted.
    public let moves: Int

    /// The header's name.
    public static let header = "userllm-rerouted"
    /// A record that was rerouted this often and is still in the wrong partition is not rerouted again: workers that
    /// disagree about the number of partitions would send it to each other forever.
    public static let maximumMoves = 4

    /// The position of a record that is rerouted for the first time.
    public init(of record: Record) {
        partition = record.source.partition
        offset = record.offset
        timestamp = record.timestamp
        moves = 1
    }

    private init(partition: Int32, offset: Int64, timestamp: Int64, moves: Int) {
        self.partition = partition
        self.offset = offset
        self.timestamp = timestamp
        self.moves = moves
    }

    /// Reads a record's header; nil when it has none.
    ///
    /// - Throws: `MessageError` for a header that no worker writes.
    public init?(headersOf record: Record) throws(MessageError) {
        guard !record.headers.isEmpty, let text = record.header(Self.header) else { return nil }
        let fields = text.split(separator: " ", omittingEmptySubsequences: false)
        guard fields.count == 4, let partition = Int32(fields[0]), partition >= 0, let offset = Int64(fields[1]),
            offset >= 0, let timestamp = Int64(fields[2]), Limits.times.contains(timestamp), let moves = Int(fields[3]),
            (1...Self.maximumMoves).contains(moves)
        else {
            throw MessageError(
                field: Self.header,
                reason: "is not the partition, the offset, the time and the number of moves of a record that a worker "
                    + "sent on: leave this header out"
            )
        }
        self.init(partition: partition, offset: offset, timestamp: timestamp, moves: moves)
    }

    /// The same position after one more rerouting; nil when the record was rerouted too often.
    public var moved: FirstPlace? {
        guard moves < Self.maximumMoves else { return nil }
        return FirstPlace(partition: partition, offset: offset, timestamp: timestamp, moves: moves + 1)
    }

    /// The headers without any that say that the record was rerouted; names are compared without regard to case.
    public static func without(_ headers: [Header]) -> [Header] { headers.filter { $0.name.lowercased() != header } }

    /// The header that holds this position.
    public var asHeader: Header { Header(Self.header, "\(partition) \(offset) \(timestamp) \(moves)") }
}
