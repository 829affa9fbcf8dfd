import PostgresClient
import MessageLogs

/// The format of the `headers` column: for each header a 16-bit length and the name, a 32-bit length and the value.
enum HeaderCoding {
    static func encode(_ headers: [Header]) -> [UInt8]? {
        guard !headers.isEmpty else { return nil }
        var bytes: [UInt8] = []
        for header in headers {
            let name = Array(header.name.utf8.prefix(Int(UInt16.max)))
            bytes.appendBigEndian(UInt16(name.count))
            bytes += name
            bytes.appendBigEndian(UInt32(header.value.count))
            bytes += header.value
        }
        return bytes
    }

    /// The headers; truncated or damaged ones are left out.
    static func decode(_ bytes: [UInt8]?) -> [Header] {
        var rest = (bytes ?? [])[...]
        func take(_ count: Int) -> ArraySlice<UInt8>? {
            guard rest.count >= count else { return nil }
            defer { rest = rest.dropFirst(count) }
            return rest.prefix(count)
        }
        func number(_ byteCount: Int) -> Int? { take(byteCount)?.reduce(0) { $0 << 8 | Int($1) } }
        var headers: [Header] = []
        while let nameCount = number(2), let name = take(nameCount), let count = number(4), let value = take(count) {
            headers.append(Header(String(decoding: name, as: UTF8.self), bytes: Array(value)))
        }
        return headers
    }
}

/// Records sorted into the arrays that `append_records` takes.
struct AppendBatch: Sendable {
    private(set) var count = 0
    private(set) var byteCount = 0
    private var places: [Int32] = []
    private var keys: [[UInt8]?] = []
    private var values: [[UInt8]?] = []
    private var headers: [[UInt8]?] = []

    /// Adds a record for the partition with this id.
    mutating func add(_ record: OutgoingRecord, to partition: Int32) {
        let encodedHeaders = HeaderCoding.encode(record.headers)
        count += 1
        byteCount += (record.key?.count ?? 0) + (record.value?.count ?? 0) + (encodedHeaders?.count ?? 0)
        places.append(partition)
        keys.append(record.key)
        values.append(record.value)
        headers.append(encodedHeaders)
    }

    mutating func add(_ other: AppendBatch) {
        count += other.count
        byteCount += other.byteCount
        places += other.places
        keys += other.keys
        values += other.values
        headers += other.headers
    }

    /// The parameters, in the order of the function's.
    var parameters: [PostgresValue] {
        let partitions = Set(places).sorted()
        let indices = Dictionary(uniqueKeysWithValues: zip(partitions, 0...))
        var counts = [Int32](repeating: 0, count: partitions.count)
        var index: [Int32] = []
        var sequence: [Int32] = []
        index.reserveCapacity(count)
        sequence.reserveCapacity(count)
        for place in places {
            let at = indices[place] ?? 0
            index.append(Int32(at + 1))
            sequence.append(counts[at])
            counts[at] += 1
        }
        return [
            .int4s(partitions), .int4s(counts), .int4s(index), .int4s(sequence),
            .byteArrays(keys), .byteArrays(values), .byteArrays(headers),
        ]
    }
}
