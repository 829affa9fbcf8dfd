public import Catalogues
public import Datasets
import Foundation
import Bytes
public import Messages
import RandomNumbers

/// Events to send through the system, as a file that `event-ingestor import` reads.
public struct EventSource: Sendable {
    /// The file or folder to import.
    public let path: String
    /// Its format, as `event-ingestor import` calls it.
    public let format: String
    /// What it holds, for the report.
    public let label: String

    /// A MovieLens folder.
    public static func movieLens(_ path: String) -> EventSource {
        EventSource(path: path, format: "movielens", label: "MovieLens, \(path)")
    }

    /// Viewers of an invented world, written into a folder: one event of each user after the other.
    public static func synthetic(_ world: SyntheticWorld, viewers: Int, in folder: String) throws -> EventSource {
        let histories = (0..<viewers).map { world.viewer($0).events }
        return try interleaved(histories, in: folder, label: "\(viewers) viewers of an invented world")
    }

    /// Some users' events, written into a folder: one event of each user after the other, up to a number of events.
    public static func interleaved(
        _ histories: [[Event]],
        limit: Int = .max,
        in folder: String,
        label: String
    ) throws -> EventSource {
        let path = "\(folder)/events.ndjson"
        var bytes: [UInt8] = []
        var count = 0
        for index in 0..<(histories.map(\.count).max() ?? 0) {
            for history in histories where index < history.count && count < limit {
                bytes += try history[index].encodedJSON()
                bytes.append(UInt8(ascii: "\n"))
                count += 1
            }
        }
        try Data(bytes).write(to: URL(fileURLWithPath: path))
        return EventSource(path: path, format: "ndjson", label: label)
    }

    /// Some users' events, written into a folder: all events of one user after those of another.
    public static func sorted(_ histories: [[Event]], in folder: String, label: String) throws -> EventSource {
        let path = "\(folder)/events.ndjson"
        var bytes: [UInt8] = []
        for event in histories.joined() {
            bytes += try event.encodedJSON()
            bytes.append(UInt8(ascii: "\n"))
        }
        try Data(bytes).write(to: URL(fileURLWithPath: path))
        return EventSource(path: path, format: "ndjson", label: label)
    }

    /// Each user's events, in the order of the source; users in the order of their first event.
    public func histories() throws -> [[Event]] {
        var histories: [[Event]] = []
        var places: [UserID: Int] = [:]
        try forEach { event in
            if let place = places[event.user] {
                histories[place].append(event)
            } else {
                places[event.user] = histories.count
                histories.append([event])
            }
        }
        return histories
    }

    /// Some users' events in no order, written into a folder with the items, as `trainer prepare` reads them too.
    public static func shuffled(
        _ histories: [[Event]],
        catalogue: Catalogue,
        seed: UInt64,
        in folder: String,
        label: String
    ) throws -> EventSource {
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        var random = SeededRandom(seed: seed)
        let path = "\(folder)/events.ndjson"
        var bytes: [UInt8] = []
        for event in histories.joined().shuffled(using: &random) {
            bytes += try event.encodedJSON()
            bytes.append(UInt8(ascii: "\n"))
        }
        try Data(bytes).write(to: URL(fileURLWithPath: path))
        try catalogue.write(to: "\(folder)/catalogue.json")
        return EventSource(path: path, format: "ndjson", label: label)
    }

    /// Reads all events again, and keeps of each user what the encoder needs.
    ///
    /// - Parameters:
    ///   - length: of the timelines.
    ///   - order: `file`; or another, in which each user's events are in order of time. Where there is a catalogue, that
    ///     order is what `trainer prepare` makes of the data, and not told by what imports them.
    /// - Returns: what the rows must be.
    /// - Throws: what reading throws.
    public func offlineRows(length: Int, order: String = "file") throws -> OfflineRows {
        var rows = OfflineRows(length: length)
        guard order != "file" else {
            try forEach { rows.add($0) }
            return rows
        }
        let dataset = try DatasetFolder(path: path, format: DatasetFormat(rawValue: format))
        if dataset.metadataPath != nil {
            rows.add(try dataset.prepared())
        } else {
            for history in try histories() { history.sorted { $0.time < $1.time }.forEach { rows.add($0) } }
        }
        return rows
    }

    private func forEach(_ body: (Event) -> Void) throws {
        if format == "movielens" {
            var events = try MovieLensFolder(path: path).events()
            try events.forEach(body)
        } else {
            var events = try NDJSONEventReader(path: path)
            try events.forEach(body)
        }
    }
}
