public import MessageLogs

/// Where a record of `user-events` was first read that lay in a partition which is not its key's and was sent on: what the
/// header `userllm-rerouted` says, by which consumers can tell that they have seen the record before.
///
/// A header comes from outside, so each number is checked where it is read, and the offset where it is used.
public struct FirstPlace: Sendable, Equatable {
    /// The partition it was first read in.
    public let partition: Int32
    /// Its offset there.
    public let offset: Int64
    /// When the log took it there, in milliseconds since 1970.
    public let timestamp: Int64
    /// How often it was sent on.
    public let moves: Int

    /// The header's name.
    public static let header = "userllm-rerouted"
    /// A record that was sent on so often and lies wrong still is sent on no more: workers that do not agree about the
    /// number of partitions would send it to each other for ever.
    public static let maximumMoves = 4

    /// The place of a record that is being sent on for the first time.
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

    /// The same place once the record is sent on again; nil when that was done too often.
    public var moved: FirstPlace? {
        guard moves < Self.maximumMoves else { return nil }
        return FirstPlace(partition: partition, offset: offset, timestamp: timestamp, moves: moves + 1)
    }

    /// Headers of a record that says of itself nowhere that it was sent on, in whichever case names are compared.
    public static func without(_ headers: [Header]) -> [Header] { headers.filter { $0.name.lowercased() != header } }

    /// The header that says so.
    public var asHeader: Header { Header(Self.header, "\(partition) \(offset) \(timestamp) \(moves)") }
}
