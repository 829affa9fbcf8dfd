internal import Foundation
internal import Bytes
internal import Catalogues
internal import JSON

/// A prepared folder: `catalogue.json`, `sequences.bin` and `prepared.json`, with the format and the data's hash; and
/// `reviews.bin` where reviews were asked for.
extension PreparedDataset {
    private struct Manifest: Codable {
        var format: Int
        var dataHash: String
        var users: Int
        var items: Int
        var events: Int
        var skippedLines: Int
        var split: String
        /// Missing in folders prepared before this field existed.
        var origin: Origin?
        /// Events with a review; missing where reviews were not kept.
        var reviews: Int?
    }

    private static let formatVersion = 1
    private static let mark = Array("ULLMSEQ1".utf8)
    private static let reviewsMark = Array("ULLMREV1".utf8)

    /// Writes the data set into a folder, which is created if missing.
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
            split: "leave-one-out",
            origin: origin,
            reviews: reviews?.textCount
        )
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
        try DatasetError.writing(folder) {
            try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
            // Removed first, so that a partially overwritten folder is not mistaken for the previous one.
            let path = folder + "/prepared.json"
            for old in [path, folder + "/reviews.bin"] where FileManager.default.fileExists(atPath: old) {
                try FileManager.default.removeItem(atPath: old)
            }
            try catalogue.write(to: folder + "/catalogue.json")
            try Self.write(folder + "/sequences.bin", Self.mark) { body in
                try Self.forEachPiece(
                    users: users,
                    offsets: offsets,
                    items: items,
                    ratings: ratings,
                    times: times,
                    body
                )
            }
            if let reviews {
                try Self.write(folder + "/reviews.bin", Self.reviewsMark) { try reviews.forEachPiece($0) }
            }
            // Written last, so that a folder with a manifest is complete.
            try encoder.encode(manifest).write(to: URL(fileURLWithPath: path), options: .atomic)
        }
    }

    /// Writes in pieces: holding the whole file would take more memory than the data set itself.
    private static func write(
        _ path: String,
        _ mark: [UInt8],
        _ forEachPiece: (([UInt8]) throws -> Void) throws -> Void
    ) throws {
        let temporary = path + ".partial"
        guard FileManager.default.createFile(atPath: temporary, contents: nil),
            let file = FileHandle(forWritingAtPath: temporary)
        else { throw DatasetError(file: temporary, reason: "cannot be written; may this user write there?") }
        do {
            try file.write(contentsOf: Data(mark))
            try forEachPiece { try file.write(contentsOf: Data($0)) }
            try file.synchronize()
            try file.close()
            if FileManager.default.fileExists(atPath: path) { try FileManager.default.removeItem(atPath: path) }
            try FileManager.default.moveItem(atPath: temporary, toPath: path)
        } catch {
            try? FileManager.default.removeItem(atPath: temporary)
            throw error
        }
    }

    /// Reads a prepared folder and checks it against its hash.
    ///
    /// - Throws: `DatasetError` when a file is missing, incomplete or changed.
    public init(contentsOf folder: String) throws(DatasetError) {
        guard FileManager.default.fileExists(atPath: folder) else {
            throw DatasetError(file: folder, reason: "does not exist; make it with `trainer prepare`")
        }
        let manifest: Manifest
        do {
            let url = URL(fileURLWithPath: folder + "/prepared.json")
            manifest = try JSONValue.decode(Manifest.self, from: Data(contentsOf: url), maximumCount: 1_000)
        } catch {
            throw DatasetError(
                file: folder,
                reason: "is no prepared data set, make one with `trainer prepare`: \(JSONError.reason(error))"
            )
        }
        var reader = try SequenceFileReader(folder + "/sequences.bin")
        guard manifest.format == Self.formatVersion, try reader.takesMark(Self.mark) else {
            throw DatasetError(file: folder, reason: "is of another format; prepare the data set again")
        }
        let catalogue = try Catalogue(contentsOf: folder + "/catalogue.json")
        let (users, read) = try reader.events()
        var events = read
        guard events.items.allSatisfy({ catalogue.items.indices.contains(Int($0)) }) else {
            throw DatasetError(file: folder + "/sequences.bin", reason: "is damaged; prepare the data set again")
        }
        if manifest.reviews != nil {
            var texts = try SequenceFileReader(folder + "/reviews.bin")
            guard try texts.takesMark(Self.reviewsMark) else {
                throw DatasetError(file: folder + "/reviews.bin", reason: "is damaged; prepare the data set again")
            }
            events.reviews = try texts.reviews(ofEvents: events.items.count)
        }
        var origin = manifest.origin ?? Origin()
        origin.skippedLines = manifest.skippedLines
        try self.init(catalogue: catalogue, users: users, events: events, origin: origin)
        guard dataHash == manifest.dataHash else {
            throw DatasetError(
                file: folder,
                value: dataHash,
                reason: "is not the hash in prepared.json, \(manifest.dataHash); prepare the data set again"
            )
        }
    }

    /// Little-endian: user count, event count, ids, counts per user, then items, ratings and times of all events.
    ///
    /// Passes the bytes in pieces, each valid only during the call.
    static func forEachPiece(
        users: [UserID],
        offsets: [Int],
        items: [Int32],
        ratings: RatingColumn,
        times: TimeColumn,
        _ body: ([UInt8]) throws -> Void
    ) rethrows {
        var piece = BytePiece()
        piece.append(UInt32(users.count))
        piece.append(UInt32(items.count))
        for user in users {
            piece.append(UInt32(user.utf8.count))
            piece.bytes.append(contentsOf: user.utf8)
            try piece.giveIfFull(body)
        }
        for (start, end) in zip(offsets, offsets.dropFirst()) {
            piece.append(UInt32(end - start))
            try piece.giveIfFull(body)
        }
        for item in items {
            piece.append(item)
            try piece.giveIfFull(body)
        }
        for index in 0..<ratings.count {
            piece.append(ratings[index].bitPattern)
            try piece.giveIfFull(body)
        }
        for index in 0..<times.count {
            piece.append(times[index])
            try piece.giveIfFull(body)
        }
        try body(piece.bytes)
    }
}

/// A buffer of bytes that is flushed whenever it is full enough.
struct BytePiece {
    var bytes: [UInt8] = []

    mutating func append<Value: FixedWidthInteger>(_ value: Value) {
        for shift in stride(from: 0, to: Value.bitWidth, by: 8) {
            bytes.append(UInt8(truncatingIfNeeded: value >> shift))
        }
    }

    mutating func giveIfFull(_ body: ([UInt8]) throws -> Void) rethrows {
        guard bytes.count >= 1 << 18 else { return }
        try body(bytes)
        bytes.removeAll(keepingCapacity: true)
    }
}
