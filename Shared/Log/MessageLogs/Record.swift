/// A name and a value that travel beside a record.
public struct Header: Sendable, Equatable {
    /// The header's name.
    public var name: String
    /// Its value, UTF-8 by convention.
    public var value: [UInt8]

    /// Makes a header from text.
    public init(_ name: String, _ value: String) {
        self.name = name
        self.value = Array(value.utf8)
    }

    /// Makes a header from bytes.
    public init(_ name: String, bytes: [UInt8]) {
        self.name = name
        self.value = bytes
    }
}

/// A record to be appended.
public struct OutgoingRecord: Sendable, Equatable {
    /// The topic it goes to.
    public var topic: String
    /// The partition; nil means that the key's murmur2 hash decides, as in Java clients.
    public var partition: Int32?
    /// The key; records of one key keep their order.
    public var key: [UInt8]?
    /// The value; nil deletes the key.
    public var value: [UInt8]?
    /// Headers, in order.
    public var headers: [Header]

    /// Makes a record.
    public init(topic: String, partition: Int32? = nil, key: [UInt8]?, value: [UInt8]?, headers: [Header] = []) {
        self.topic = topic
        self.partition = partition
        self.key = key
        self.value = value
        self.headers = headers
    }
}

/// One partition of a topic.
public struct TopicPartition: Sendable, Hashable, CustomStringConvertible {
    /// The topic.
    public var topic: String
    /// The partition's number.
    public var partition: Int32

    /// Names a partition.
    public init(_ topic: String, _ partition: Int32) {
        self.topic = topic
        self.partition = partition
    }

    /// As in `user-events/3`.
    public var description: String { "\(topic)/\(partition)" }
}

/// A record as the log gives it back.
public struct Record: Sendable, Equatable {
    /// Times that a record may have: from 1970 to the end of the year 9999, in milliseconds.
    public static let times: ClosedRange<Int64> = 0...253_402_300_799_999

    /// Where it lies.
    public var source: TopicPartition
    /// Its offset there.
    public var offset: Int64
    /// When it was appended, in milliseconds since 1970, within `times`.
    ///
    /// In Kafka the producer sets it; a value outside that range is clamped.
    public let timestamp: Int64
    /// Its key.
    public var key: [UInt8]?
    /// Its value; nil is a deletion of the key.
    public var value: [UInt8]?
    /// Its headers, in order.
    public var headers: [Header]

    /// Makes a record.
    public init(
        source: TopicPartition,
        offset: Int64,
        timestamp: Int64,
        key: [UInt8]?,
        value: [UInt8]?,
        headers: [Header] = []
    ) {
        self.source = source
        self.offset = offset
        self.timestamp = min(max(timestamp, Self.times.lowerBound), Self.times.upperBound)
        self.key = key
        self.value = value
        self.headers = headers
    }

    /// The text of the first header of this name; ASCII case is ignored, as in HTTP.
    public func header(_ name: String) -> String? {
        headers.first { Self.isSame($0.name, name) }.map { String(decoding: $0.value, as: UTF8.self) }
    }

    private static func isSame(_ one: String, _ other: String) -> Bool {
        func small(_ byte: UInt8) -> UInt8 {
            (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(byte) ? byte | 0x20 : byte
        }
        return one.utf8.count == other.utf8.count && one.utf8.elementsEqual(other.utf8) { small($0) == small($1) }
    }
}

/// Records of one or more partitions, in order within each, that are committed together.
public struct Batch: Sendable {
    /// The records.
    public let records: [Record]
    /// For each partition in the batch, the offset to resume from once it is done.
    public let nextOffsets: [TopicPartition: Int64]

    /// Makes a batch; `nextOffsets` is one past the last record of each partition.
    public init(records: [Record]) {
        self.records = records
        var next: [TopicPartition: Int64] = [:]
        for record in records { next[record.source] = record.offset + 1 }
        nextOffsets = next
    }

    /// The first records of the batch.
    public func prefix(_ count: Int) -> Batch { Batch(records: Array(records.prefix(count))) }

    /// The batch without its first records, which form another batch.
    public func after(_ first: Batch) -> Batch { Batch(records: Array(records.dropFirst(first.records.count))) }

    /// The batch without the records of some partitions.
    public func without(_ partitions: Set<TopicPartition>) -> Batch {
        guard !partitions.isDisjoint(with: nextOffsets.keys) else { return self }
        return Batch(records: records.filter { !partitions.contains($0.source) })
    }
}
