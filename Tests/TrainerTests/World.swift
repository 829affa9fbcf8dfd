import Catalogues
import Datasets
import Foundation
import Bytes
import ServiceRuntime

@testable import Trainer

/// A temporary folder with a small invented world, prepared.
struct World {
    let folder: String
    let dataset: PreparedDataset

    init() throws {
        folder = FileManager.default.temporaryDirectory.appending(path: "trainer-\(UUID().uuidString)").path
        let configuration = SyntheticWorld.Configuration(
            seed: 5,
            filmCount: 48,
            viewerCount: 60,
            minimumEvents: 8,
            maximumEvents: 20
        )
        try SyntheticWorld(configuration).write(to: folder + "/data")
        dataset = try PrepareCommand.prepare(folder + "/data", into: folder + "/prepared")
    }

    func remove() { try? FileManager.default.removeItem(atPath: folder) }

    func options(_ name: String, steps: Int, resumes: Bool = false) -> TrainingOptions {
        TrainingOptions(
            budget: .steps(steps),
            learningRate: 2e-3,
            weightDecay: 0.01,
            warmUpSteps: 2,
            validations: 2,
            threads: 2,
            seed: 9,
            folder: "\(folder)/\(name)",
            resumes: resumes
        )
    }

    /// Trains an encoder in a folder of this world.
    func train(
        _ name: String,
        steps: Int,
        change: (inout TrainEncoderCommand.Settings) -> Void = { _ in }
    ) throws -> TrainingOutcome {
        var settings = encoderSettings(name, steps: steps)
        change(&settings)
        return try TrainEncoderCommand.train(dataset, settings, until: Shutdown())
    }

    func encoderSettings(_ name: String, steps: Int, resumes: Bool = false) -> TrainEncoderCommand.Settings {
        TrainEncoderCommand.Settings(
            options: options(name, steps: steps, resumes: resumes),
            batchCount: 16,
            width: 16,
            layers: 1,
            length: 12
        )
    }
}

extension World {
    /// Trains a small language model, and writes it as somebody would publish it.
    ///
    /// - Returns: its folder, in Hugging Face's format.
    func publishedModel(layers: Int) throws -> String {
        let language = TrainLanguageModelCommand.Settings(
            options: options("language-model", steps: 2),
            batchCount: 4,
            vocabularySize: 400,
            width: 32,
            layers: layers
        )
        _ = try TrainLanguageModelCommand.train(dataset, language, until: Shutdown())
        let model = folder + "/model"
        try FileManager.default.createDirectory(atPath: model, withIntermediateDirectories: true)
        for file in ["best/config.json", "best/model.safetensors", "tokenizer.json"] {
            let name = String(file.split(separator: "/").last ?? "")
            try FileManager.default.copyItem(atPath: "\(folder)/language-model/\(file)", toPath: "\(model)/\(name)")
        }
        return model
    }

    /// A data set of users who have so many events each, of all items in turn.
    static func dataset(eventCounts: [Int], items: Int = 12) throws -> PreparedDataset {
        let folder = FileManager.default.temporaryDirectory.appending(path: "trainer-\(UUID().uuidString)").path
        defer { try? FileManager.default.removeItem(atPath: folder) }
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        let catalogue = (0..<items).map { CatalogueItem(id: "i\($0)", title: "Item \($0)", categories: ["c\($0 % 3)"]) }
        try Catalogue(items: catalogue).write(to: folder + "/catalogue.json")
        var events = ""
        for (user, count) in eventCounts.enumerated() {
            for event in 0..<count {
                let time = 1_700_000_000_000 + 1_000 * event
                events += #"{"user":"u\#(user)","item":"i\#((user + event) % items)","time":\#(time)}"# + "\n"
            }
        }
        try Data(events.utf8).write(to: URL(fileURLWithPath: folder + "/events.ndjson"))
        return try PrepareCommand.prepare(folder, into: folder + "/prepared", .init(format: .ndjson))
    }
}
