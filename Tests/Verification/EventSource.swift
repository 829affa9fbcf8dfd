public import Datasets
import Foundation
import Messages

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
        let path = "\(folder)/events.ndjson"
        let histories = (0..<viewers).map { world.viewer($0).events }
        var bytes: [UInt8] = []
        for index in 0..<(histories.map(\.count).max() ?? 0) {
            for history in histories where index < history.count {
                bytes += try history[index].encodedJSON()
                bytes.append(UInt8(ascii: "\n"))
            }
        }
        try Data(bytes).write(to: URL(fileURLWithPath: path))
        return EventSource(path: path, format: "ndjson", label: "\(viewers) viewers of an invented world")
    }

    /// Reads all events again, and keeps of each user what the encoder needs.
    public func offlineRows(length: Int) throws -> OfflineRows {
        var rows = OfflineRows(length: length)
        if format == "movielens" {
            var events = try MovieLensFolder(path: path).events()
            try events.forEach { rows.add($0) }
        } else {
            var events = try NDJSONEventReader(path: path)
            try events.forEach { rows.add($0) }
        }
        return rows
    }
}
