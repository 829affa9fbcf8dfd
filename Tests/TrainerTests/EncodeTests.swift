import Datasets
import Foundation
import Bytes
import NeuralNetwork
import ServiceRuntime
import Tensors
import Testing
import UserModels

@testable import Trainer

@Suite("Encoding of all users", .serialized)
struct EncodeTests {
    /// What a file should hold, user by user, one timeline at a time.
    private func expected(_ encoder: any UserEncoder, _ dataset: PreparedDataset) -> [[Float]] {
        let features = EventFeatures(configuration: encoder.configuration.features, catalogue: dataset.catalogue)
        return dataset.users.indices.map { user in
            let count = dataset.eventCount(ofUser: user)
            let events = dataset.timeline(user: user, max(count - encoder.configuration.length, 0)..<count)
            let graph = Graph(recording: false, seed: 0)
            return graph.values(of: encoder.hidden(graph, EventBatch([features.indexed(events)[...]])))
        }
    }

    private func isNear(_ values: some Collection<Float>, _ others: some Collection<Float>) -> Bool {
        values.count == others.count && zip(values, others).allSatisfy { abs($0 - $1) < 1e-5 }
    }

    @Test func aFileHoldsEveryUsersVectors() throws {
        let world = try World()
        defer { world.remove() }
        _ = try world.train("encoder", steps: 4)
        let dataset = world.dataset
        let encoder = try RunFolder.encoder(world.folder + "/encoder", dataset: dataset)
        let whole = expected(encoder, dataset)
        let (d, length) = (encoder.configuration.width, encoder.configuration.length)
        for rows in TimelineEncoding.Rows.allCases {
            let encoding = TimelineEncoding(encoder: encoder, dataset: dataset, rows: rows, threads: 2)
            func write(_ format: EncodeCommand.Format) throws -> String {
                let path = "\(world.folder)/\(rows.rawValue).\(format.rawValue)"
                let report = try EncodeCommand.encode(
                    encoding,
                    run: world.folder + "/encoder",
                    to: path,
                    format,
                    until: Shutdown()
                )
                let result = try #require(JSONSerialization.jsonObject(with: report.json()) as? [String: Any])
                #expect(result["users"] as? Int == 60)
                #expect(try #require(result["timelines_per_second"] as? Double) > 0)
                return path
            }
            let file = try SafeTensors(path: write(.safetensors))
            let ids = try JSONDecoder().decode([UserID].self, from: Data((file.metadata["users"] ?? "").utf8))
            #expect(ids == dataset.users && file.metadata["data_hash"] == dataset.dataHash)
            #expect(file.shape(of: "events") == [60])
            #expect(file.shape(of: "embeddings") == (rows == .last ? [60, d] : [60, length, d]))
            let values = try file.tensor("embeddings").values
            let lines = try String(contentsOfFile: write(.ndjson), encoding: .utf8).split(separator: "\n")
            #expect(lines.count == 60)
            for user in dataset.users.indices {
                let object = try #require(JSONSerialization.jsonObject(with: Data(lines[user].utf8)) as? [String: Any])
                #expect(object["user"] as? String == dataset.users[user].text)
                #expect(object["events"] as? Int == min(dataset.eventCount(ofUser: user), length))
                let vectors = (object["embedding"] as? [[Double]]) ?? [object["embedding"] as? [Double] ?? []]
                let right = rows == .last ? Array(whole[user].suffix(d)) : whole[user]
                #expect(isNear(vectors.flatMap { $0.map(Float.init) }, right), "user \(user)")
                let size = rows == .last ? d : length * d
                let padded = right + [Float](repeating: 0, count: size - right.count)
                #expect(isNear(values[user * size..<(user + 1) * size], padded), "user \(user)")
            }
        }
    }

    @Test func anInterruptedEncodingLeavesTheFileThatWasThere() throws {
        let world = try World()
        defer { world.remove() }
        _ = try world.train("encoder", steps: 2)
        let path = world.folder + "/users.ndjson"
        try Data("before".utf8).write(to: URL(fileURLWithPath: path))
        // More users than a batch has, so that there is something left to do when the stop is seen.
        let dataset = try World.dataset(eventCounts: [Int](repeating: 3, count: 600))
        var random = SeededRandom(seed: 1)
        var configuration = AutoregressiveEncoder.Configuration(itemCount: 12, categoryCount: 3)
        (configuration.width, configuration.layers) = (16, 1)
        let encoder = try AutoregressiveEncoder(configuration: configuration, using: &random)
        let encoding = TimelineEncoding(encoder: encoder, dataset: dataset, rows: .last, threads: 2)
        let shutdown = Shutdown()
        shutdown.request()
        let error = #expect(throws: ProcessFailure.self) {
            try EncodeCommand.encode(encoding, run: world.folder + "/encoder", to: path, .ndjson, until: shutdown)
        }
        #expect(error?.exitCode == .interrupted)
        #expect(error?.description.contains("after 512 of 600 users") == true)
        #expect(try String(contentsOfFile: path, encoding: .utf8) == "before")
        let nowhere = world.folder + "/nowhere/users.ndjson"
        let missing = #expect(throws: DurableWriteError.self) {
            try EncodeCommand.encode(encoding, run: world.folder + "/encoder", to: nowhere, .ndjson, until: Shutdown())
        }
        #expect(missing?.description.contains("there is no folder") == true)
    }
}
