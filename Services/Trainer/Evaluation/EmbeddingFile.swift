import Datasets
import Foundation
import Tensors
import UserModels

/// A file of user embeddings, written batch by batch.
protocol EmbeddingFile {
    /// Appends users in the data set's order.
    mutating func append(_ batch: [TimelineEncoding.EncodedTimeline]) throws
    /// Finishes the file.
    mutating func finish() throws
}

/// One JSON object per line: `{"user":"u1","events":3,"embedding":[...]}`.
///
/// With a vector per event the embedding is an array of arrays.
struct NDJSONEmbeddings: EmbeddingFile {
    private let file: FileHandle
    private let encoding: TimelineEncoding

    /// Starts a file.
    init(path: String, _ encoding: TimelineEncoding) throws {
        try Data().write(to: URL(fileURLWithPath: path))
        file = try FileHandle(forWritingTo: URL(fileURLWithPath: path))
        self.encoding = encoding
    }

    mutating func append(_ batch: [TimelineEncoding.EncodedTimeline]) throws {
        var text = ""
        for timeline in batch {
            let id = String(decoding: try JSONEncoder().encode(encoding.dataset.users[timeline.user]), as: UTF8.self)
            text += "{\"user\":\(id),\"events\":\(timeline.eventCount),\"embedding\":"
            switch encoding.rows {
            case .last: append(timeline.values[...], to: &text)
            case .events:
                let d = encoding.encoder.configuration.width
                text += "["
                for event in 0..<timeline.eventCount {
                    if event > 0 { text += "," }
                    append(timeline.values[event * d..<(event + 1) * d], to: &text)
                }
                text += "]"
            }
            text += "}\n"
        }
        try file.write(contentsOf: Data(text.utf8))
    }

    private func append(_ values: ArraySlice<Float>, to text: inout String) {
        text += "["
        for (index, value) in values.enumerated() {
            if index > 0 { text += "," }
            // Swift prints the shortest digits that parse to the same number.
            text += "\(value)"
        }
        text += "]"
    }

    mutating func finish() throws {
        try file.synchronize()
        try file.close()
    }
}

/// Tensors `events` [U] (the number of events read) and `embeddings` [U, d], or [U, L, d] with zeros after a timeline's
/// end.
///
/// The user ids are a JSON array in the header's metadata, under `users`.
struct SafeTensorsEmbeddings: EmbeddingFile {
    private let writer: SafeTensorsWriter
    private let encoding: TimelineEncoding
    private let length: Int

    /// Starts a file.
    init(path: String, _ encoding: TimelineEncoding, notes: [String: String]) throws {
        self.encoding = encoding
        length = encoding.encoder.configuration.length
        let (users, d) = (encoding.dataset.users, encoding.encoder.configuration.width)
        var notes = notes
        notes["users"] = String(decoding: try JSONEncoder().encode(users), as: UTF8.self)
        let shape = encoding.rows == .last ? [users.count, d] : [users.count, length, d]
        writer = try SafeTensorsWriter(
            path: path,
            tensors: [.init("events", .int32, shape: [users.count]), .init("embeddings", shape: shape)],
            metadata: notes
        )
        try writer.append(users.indices.map { Int32(encoding.eventCount(ofUser: $0)) })
    }

    mutating func append(_ batch: [TimelineEncoding.EncodedTimeline]) throws {
        let d = encoding.encoder.configuration.width
        for timeline in batch {
            try writer.append(timeline.values)
            guard encoding.rows == .events, timeline.eventCount < length else { continue }
            try writer.append([Float](repeating: 0, count: (length - timeline.eventCount) * d))
        }
    }

    mutating func finish() throws { try writer.finish() }
}
