/// Reads the files in which a Kafka broker keeps a partition, with the markers that end transactions.
///
/// - Source: https://kafka.apache.org/documentation/#recordbatch
struct SegmentReader {
    /// A record's key and value.
    struct Record: Equatable {
        var key: [UInt8]?
        var value: [UInt8]?
    }

    private struct Batch {
        var producer: Int64
        var isTransactional: Bool
        var isControl: Bool
        var records: [Record]
    }

    private static let headByteCount = 61
    private let bytes: [UInt8]
    private var position = 0

    private init(_ bytes: [UInt8]) {
        self.bytes = bytes
    }

    /// The records of a partition's files that count, in the order in which they came into force: those outside of
    /// transactions where they lie, those of a transaction where its marker lies, and not those of one that was aborted or
    /// is open still.
    ///
    /// - Throws: `VerificationError` for what this does not read.
    static func committedRecords(of segments: [[UInt8]]) throws -> [Record] {
        var committed: [Record] = []
        var open: [Int64: [Record]] = [:]
        for segment in segments {
            var reader = SegmentReader(segment)
            while let batch = try reader.batch() {
                if batch.isControl {
                    let records = open.removeValue(forKey: batch.producer) ?? []
                    if batch.records.contains(where: isCommit) { committed += records }
                } else if batch.isTransactional {
                    open[batch.producer, default: []] += batch.records
                } else {
                    committed += batch.records
                }
            }
        }
        return committed
    }

    /// A marker's key is its version and its kind: 0 aborts, 1 commits.
    private static func isCommit(_ record: Record) -> Bool { record.key?.dropFirst(2).elementsEqual([0, 1]) == true }

    /// The next batch; nil at the end, also where the last one is not written whole yet.
    private mutating func batch() throws -> Batch? {
        let start = position
        guard bytes.count - start >= Self.headByteCount else { return nil }
        let byteCount = Int(number(at: start + 8, 4)) + 12
        guard byteCount >= Self.headByteCount, byteCount <= bytes.count - start else { return nil }
        position = start + byteCount
        let attributes = number(at: start + 21, 2)
        guard bytes[start + 16] == 2, attributes & 7 == 0 else {
            throw VerificationError("a batch of records is of format \(bytes[start + 16]), or compressed")
        }
        var batch = Batch(
            producer: number(at: start + 43, 8),
            isTransactional: attributes & 0x10 != 0,
            isControl: attributes & 0x20 != 0,
            records: []
        )
        var at = start + Self.headByteCount
        for _ in 0..<number(at: start + 57, 4) {
            let recordByteCount = Int(try varint(&at))
            let next = at + recordByteCount
            guard recordByteCount >= 0, next <= position else { throw damaged }
            at += 1
            _ = try varint(&at)
            _ = try varint(&at)
            let key = try field(&at)
            batch.records.append(Record(key: key, value: try field(&at)))
            at = next
        }
        return batch
    }

    private var damaged: VerificationError {
        VerificationError("a batch of records before byte \(position) is damaged")
    }

    private func number(at place: Int, _ byteCount: Int) -> Int64 {
        bytes[place..<(place + byteCount)].reduce(0) { $0 << 8 | Int64($1) }
    }

    private func varint(_ at: inout Int) throws -> Int64 {
        var value: UInt64 = 0
        for shift in stride(from: UInt64(0), to: 64, by: 7) {
            guard at < position else { throw damaged }
            let byte = bytes[at]
            at += 1
            value |= UInt64(byte & 0x7F) << shift
            if byte < 0x80 { return Int64(bitPattern: value >> 1) ^ -Int64(bitPattern: value & 1) }
        }
        throw damaged
    }

    private func field(_ at: inout Int) throws -> [UInt8]? {
        let byteCount = Int(try varint(&at))
        guard byteCount >= 0 else { return nil }
        guard byteCount <= position - at else { throw damaged }
        defer { at += byteCount }
        return Array(bytes[at..<(at + byteCount)])
    }
}
