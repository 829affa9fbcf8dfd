internal import Foundation

/// A prepared folder: `catalogue.json`, `sequences.bin` and `prepared.json`, which names the format and the data's hash.
extension PreparedDataset {
    private struct Manifest: Codable {
        var format: Int
        var dataHash: String
        var users: Int
        var items: Int
        var events: Int
        var skippedLines: Int
        var split: String
    }

    private static let formatVersion = 1
    private static let mark = Array("ULLMSEQ1".utf8)

    /// Whether a folder holds a prepared data set.
    public static func isPrepared(_ folder: String) -> Bool {
        FileManager.default.fileExists(atPath: folder + "/prepared.json")
    }

    /// Writes the data set into a folder, which is made when it is missing.
    ///
    /// - Throws: `DatasetError` naming the file that cannot be written.
    public func write(to folder: String) throws(DatasetError) {
        let manifest = Manifest(
            format: Self.formatVersion,
            dataHash: dataHash,
            users: users.count,
            items: catalogue.count,
            events: eventCount,
            skippedLines: skippedLines,
            split: "leave-one-out"
        )
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
        do {
            try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
            try catalogue.write(to: folder + "/catalogue.json")
            let bytes = Self.sequenceBytes(users: users, offsets: offsets, items: items, ratings: ratings, times: times)
            try Data(Self.mark + bytes).write(to: URL(fileURLWithPath: folder + "/sequences.bin"), options: .atomic)
            // Last, so that a folder with a manifest is whole.
            try encoder.encode(manifest).write(to: URL(fileURLWithPath: folder + "/prepared.json"), options: .atomic)
        } catch let error as DatasetError {
            throw error
        } catch {
            throw DatasetError(file: folder, reason: "cannot be written: \(error.localizedDescription)")
        }
    }

    /// Reads a prepared folder and checks it against its hash.
    ///
    /// - Throws: `DatasetError` when a file is missing, half written or changed.
    public init(contentsOf folder: String) throws(DatasetError) {
        guard FileManager.default.fileExists(atPath: folder) else {
            throw DatasetError(file: folder, reason: "does not exist; make it with `trainer prepare`")
        }
        let manifest: Manifest
        let bytes: [UInt8]
        do {
            let url = URL(fileURLWithPath: folder + "/prepared.json")
            manifest = try JSONDecoder().decode(Manifest.self, from: Data(contentsOf: url))
            bytes = Array(try Data(contentsOf: URL(fileURLWithPath: folder + "/sequences.bin")))
        } catch {
            throw DatasetError(
                file: folder,
                reason: "is no prepared data set, make one with `trainer prepare`: \(error.localizedDescription)"
            )
        }
        guard manifest.format == Self.formatVersion, bytes.starts(with: Self.mark) else {
            throw DatasetError(file: folder, reason: "is of another format; prepare the data set again")
        }
        let catalogue = try Catalogue(contentsOf: folder + "/catalogue.json")
        var reader = ByteReader(bytes: bytes, position: Self.mark.count, file: folder + "/sequences.bin")
        let (userCount, eventCount) = (Int(try reader.integer(UInt32.self)), Int(try reader.integer(UInt32.self)))
        let users = try reader.repeated(userCount) { (reader) throws(DatasetError) in try reader.text() }
        let counts = try reader.repeated(userCount) { (reader) throws(DatasetError) in try reader.integer(UInt32.self) }
        let items = try reader.repeated(eventCount) { (reader) throws(DatasetError) in try reader.integer(Int32.self) }
        let ratings = try reader.repeated(eventCount) { (reader) throws(DatasetError) in
            Float(bitPattern: try reader.integer(UInt32.self))
        }
        let times = try reader.repeated(eventCount) { (reader) throws(DatasetError) in try reader.integer(Int64.self) }
        let offsets = counts.reduce(into: [0]) { $0.append(($0.last ?? 0) + Int($1)) }
        guard offsets.last == eventCount, items.allSatisfy({ catalogue.items.indices.contains(Int($0)) }) else {
            throw DatasetError(file: folder + "/sequences.bin", reason: "is damaged; prepare the data set again")
        }
        try self.init(
            catalogue: catalogue,
            users: users,
            offsets: offsets,
            items: items,
            ratings: ratings,
            times: times,
            skippedLines: manifest.skippedLines
        )
        guard dataHash == manifest.dataHash else {
            throw DatasetError(
                file: folder,
                value: dataHash,
                reason: "is not the hash in prepared.json, \(manifest.dataHash); prepare the data set again"
            )
        }
    }

    /// Little-endian: user count, event count, ids, counts per user, then items, ratings and times of all events.
    static func sequenceBytes(
        users: [String],
        offsets: [Int],
        items: [Int32],
        ratings: [Float],
        times: [Int64]
    ) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(items.count * 16 + users.count * 16)
        func append<Value: FixedWidthInteger>(_ value: Value) {
            for shift in stride(from: 0, to: Value.bitWidth, by: 8) {
                bytes.append(UInt8(truncatingIfNeeded: value >> shift))
            }
        }
        append(UInt32(users.count))
        append(UInt32(items.count))
        for user in users {
            append(UInt32(user.utf8.count))
            bytes += user.utf8
        }
        for (start, end) in zip(offsets, offsets.dropFirst()) { append(UInt32(end - start)) }
        for item in items { append(item) }
        for rating in ratings { append(rating.bitPattern) }
        for time in times { append(time) }
        return bytes
    }
}

/// Reads little-endian numbers and says where a file ends too soon.
private struct ByteReader {
    let bytes: [UInt8]
    var position: Int
    let file: String

    mutating func integer<Value: FixedWidthInteger>(_: Value.Type) throws(DatasetError) -> Value {
        let end = position + Value.bitWidth / 8
        guard end <= bytes.count else { throw truncated }
        var value: Value = 0
        for index in (position..<end).reversed() { value = value << 8 | Value(truncatingIfNeeded: bytes[index]) }
        position = end
        return value
    }

    mutating func text() throws(DatasetError) -> String {
        let count = Int(try integer(UInt32.self))
        guard position + count <= bytes.count else { throw truncated }
        defer { position += count }
        return String(decoding: bytes[position..<(position + count)], as: UTF8.self)
    }

    mutating func repeated<Value>(
        _ count: Int,
        _ body: (inout ByteReader) throws(DatasetError) -> Value
    ) throws(DatasetError) -> [Value] {
        // Every value takes at least four bytes, so a wrong count cannot ask for all memory.
        guard count <= (bytes.count - position) / 4 else { throw truncated }
        var values: [Value] = []
        values.reserveCapacity(count)
        for _ in 0..<count { values.append(try body(&self)) }
        return values
    }

    private var truncated: DatasetError {
        DatasetError(
            file: file,
            reason: "ends after \(bytes.count) bytes, before its data does; prepare the data set again"
        )
    }
}
