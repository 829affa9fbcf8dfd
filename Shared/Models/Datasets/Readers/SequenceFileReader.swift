internal import Bytes
internal import Files

/// Reads the file of a prepared data set in pieces, and reports where it is truncated.
struct SequenceFileReader {
    private let file: InputFile
    private var bytes = [UInt8](repeating: 0, count: 1 << 18)
    private var position = 0
    private var end = 0

    init(_ path: String) throws(DatasetError) {
        do throws(InputFileError) {
            file = try InputFile(path)
        } catch {
            throw DatasetError(file: error.path, reason: "\(error.reason); prepare the data set again")
        }
    }

    /// Whether the file begins with these bytes.
    mutating func takesMark(_ mark: [UInt8]) throws(DatasetError) -> Bool {
        for byte in mark where try integer(UInt8.self) != byte { return false }
        return true
    }

    /// All users, and their events.
    mutating func events() throws(DatasetError) -> (users: [UserID], events: EventGatherer.Grouped) {
        let (userCount, eventCount) = (Int(try integer(UInt32.self)), Int(try integer(UInt32.self)))
        // Each takes at least this many bytes, so a corrupt count cannot exhaust memory.
        guard userCount * 8 + eventCount * 16 <= file.byteCount else { throw truncated }
        var users: [UserID] = []
        users.reserveCapacity(userCount)
        for _ in 0..<userCount { users.append(UserID(try text())) }
        var events = EventGatherer.Grouped()
        events.offsets.reserveCapacity(userCount + 1)
        for _ in 0..<userCount {
            events.offsets.append(events.offsets[events.offsets.count - 1] + Int(try integer(UInt32.self)))
        }
        guard events.offsets.last == eventCount else {
            throw DatasetError(file: file.path, reason: "is damaged; prepare the data set again")
        }
        events.items.reserveCapacity(eventCount)
        for _ in 0..<eventCount { events.items.append(try integer(Int32.self)) }
        events.ratings.reserveCapacity(eventCount)
        for _ in 0..<eventCount { events.ratings.append(Float(bitPattern: try integer(UInt32.self))) }
        events.times.reserveCapacity(eventCount)
        for _ in 0..<eventCount { events.times.append(try integer(Int64.self)) }
        return (users, events)
    }

    /// What users wrote about as many events.
    mutating func reviews(ofEvents count: Int) throws(DatasetError) -> ReviewColumn {
        guard Int(try integer(UInt32.self)) == count else {
            throw DatasetError(file: file.path, reason: "is damaged; prepare the data set again")
        }
        guard count * 4 <= file.byteCount else { throw truncated }
        var (lengths, total) = ([Int](), 0)
        lengths.reserveCapacity(count)
        for _ in 0..<count {
            lengths.append(Int(try integer(UInt32.self)))
            total += lengths[lengths.count - 1]
            guard total <= file.byteCount else { throw truncated }
        }
        var texts: [UInt8] = []
        texts.reserveCapacity(total)
        while texts.count < total {
            if position == end { try fill(1) }
            let next = position + min(end - position, total - texts.count)
            texts.append(contentsOf: bytes[position..<next])
            position = next
        }
        return ReviewColumn(lengths: lengths, bytes: texts)
    }

    private mutating func integer<Value: FixedWidthInteger>(_: Value.Type) throws(DatasetError) -> Value {
        let size = Value.bitWidth / 8
        if end - position < size { try fill(size) }
        var value: Value = 0
        for index in (position..<(position + size)).reversed() {
            value = value << 8 | Value(truncatingIfNeeded: bytes[index])
        }
        position += size
        return value
    }

    private mutating func text() throws(DatasetError) -> String {
        let count = Int(try integer(UInt32.self))
        guard count <= file.byteCount else { throw truncated }
        if end - position < count { try fill(count) }
        defer { position += count }
        return String(decoding: bytes[position..<(position + count)], as: UTF8.self)
    }

    /// Reads more until at least this many bytes are buffered.
    private mutating func fill(_ count: Int) throws(DatasetError) {
        for index in position..<end { bytes[index - position] = bytes[index] }
        (position, end) = (0, end - position)
        if bytes.count < count { bytes.append(contentsOf: [UInt8](repeating: 0, count: count - bytes.count)) }
        while end < count {
            let read: Int
            do throws(InputFileError) {
                read = try file.read(into: &bytes, from: end)
            } catch {
                throw DatasetError(file: error.path, reason: error.reason)
            }
            guard read > 0 else { throw truncated }
            end += read
        }
    }

    private var truncated: DatasetError {
        DatasetError(
            file: file.path,
            reason: "ends after \(file.byteCount) bytes, before its data does; prepare the data set again"
        )
    }
}
