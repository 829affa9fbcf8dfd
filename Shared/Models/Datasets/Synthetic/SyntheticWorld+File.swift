internal import Foundation
internal import Bytes
internal import Catalogues
internal import Messages

extension SyntheticWorld {
    private struct Truth: Encodable {
        struct Span: Encodable {
            var from: Int
            var genre: String
        }
        var user: UserID
        var favourites: [Span]
    }

    /// Writes the world as a data set.
    ///
    /// - `movies.csv`, `ratings.csv`: in MovieLens's format; `catalogue.json`, `events.ndjson`: in our own. Both hold
    ///   the same events, in order of time.
    /// - `truth.ndjson`: each viewer's favourite genres, with the event from which each one applies, counted from 0.
    /// - `world.json`: the configuration.
    ///
    /// - Parameter folder: created if missing.
    /// - Throws: `DatasetError` naming the folder.
    public func write(to folder: String) throws(DatasetError) {
        try DatasetError.writing(folder) {
            try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
            func write(_ name: String, _ text: String) throws {
                try Data(text.utf8).write(to: URL(fileURLWithPath: "\(folder)/\(name)"), options: .atomic)
            }
            let viewers = (0..<configuration.viewerCount).map(viewer)
            var movies = "movieId,title,genres\n"
            for item in catalogue.items {
                movies +=
                    "\(item.id),\(TableFields.quoted(item.title)),\(item.categories.joined(separator: "|"))\n"
            }
            var ratings = "userId,movieId,rating,timestamp\n"
            var events = ""
            for event in viewers.flatMap(\.events).sorted(by: { $0.time < $1.time }) {
                ratings += "\(event.user),\(event.item),\(event.rating ?? 0),\(event.time / 1_000)\n"
                events += String(decoding: try event.encodedJSON(), as: UTF8.self) + "\n"
            }
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.sortedKeys]
            var truth = ""
            for viewer in viewers {
                truth += String(decoding: try encoder.encode(Self.truth(viewer)), as: UTF8.self) + "\n"
            }
            try catalogue.write(to: folder + "/catalogue.json")
            try write("movies.csv", movies)
            try write("ratings.csv", ratings)
            try write("events.ndjson", events)
            try write("truth.ndjson", truth)
            try write("world.json", String(decoding: try encoder.encode(configuration), as: UTF8.self) + "\n")
        }
    }

    private static func truth(_ viewer: Viewer) -> Truth {
        var spans: [Truth.Span] = []
        for (index, genre) in viewer.favouriteGenres.enumerated() where spans.last?.genre != genre {
            spans.append(Truth.Span(from: index, genre: genre))
        }
        return Truth(user: viewer.id, favourites: spans)
    }
}
