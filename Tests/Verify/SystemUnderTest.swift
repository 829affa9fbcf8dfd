import Catalogues
import Datasets
import Foundation
import Bytes
import ServiceRuntime
import Verification

/// The system that a verification starts, and takes away afterwards.
struct SystemUnderTest: Sendable {
    /// Which message log.
    enum LogKind: String, CaseIterable, ConfigurationValue {
        /// The private database.
        case postgres
        /// A real Apache Kafka, started for the run.
        case kafka
    }

    /// The shape of an untrained model.
    enum Model: String, CaseIterable, ConfigurationValue {
        /// As small as it goes.
        case tiny
        /// The one that serves MovieLens-1M: width 64, 2 layers, timelines of 50 events.
        case serving
    }

    private static let logKey = ConfigurationKey<LogKind>("log", default: .postgres, help: "The message log")
    private static let bundleKey = ConfigurationKey<String>(
        "bundle",
        help: "The model bundle's folder; without one, an untrained model"
    )
    private static let modelKey = ConfigurationKey<Model>(
        "model",
        default: .tiny,
        help: "The shape of the untrained model; serving is the one that serves MovieLens-1M"
    )
    private static let languageModelKey = ConfigurationKey<String>(
        "language-model",
        help: "A published language model for the untrained bundle: a GGUF file or a Hugging Face folder"
    )
    private static let workersKey = ConfigurationKey<Int>(
        "encoder-workers",
        default: 2,
        in: 1...64,
        help: "How many encoder workers"
    )
    private static let writersKey = ConfigurationKey<Int>(
        "embedding-writers",
        default: 1,
        in: 1...64,
        help: "How many embedding writers"
    )
    private static let partitionsKey = ConfigurationKey<Int>(
        "partitions",
        default: 8,
        in: 1...1_000,
        help: "Partitions of the topics"
    )
    private static let keepKey = ConfigurationKey<Bool>(
        "keep",
        default: false,
        help: "Keeps the folder with database and logs for a look"
    )
    /// Prints JSON.
    static let jsonKey = ConfigurationKey<Bool>("json", default: false, help: "Prints the result as JSON")

    /// The keys of every verification.
    static let keys: [any AnyConfigurationKey] = [
        logKey, bundleKey, modelKey, languageModelKey, workersKey, writersKey, partitionsKey, keepKey, jsonKey,
    ]

    /// The message log.
    let log: LogKind
    private let bundle: String?
    private let model: Model
    private let languageModel: String?
    /// How many of each the system starts with.
    var workers: Int
    var writers: Int
    private let partitions: Int
    private let keeps: Bool
    private let asJSON: Bool
    /// The world of synthetic events, and of the untrained model.
    let world: SyntheticWorld

    /// Reads the keys.
    init(reader: ConfigurationReader) throws {
        log = try reader.value(of: Self.logKey)
        bundle = try reader.optionalValue(of: Self.bundleKey)
        model = try reader.value(of: Self.modelKey)
        languageModel = try reader.optionalValue(of: Self.languageModelKey)
        workers = try reader.value(of: Self.workersKey)
        writers = try reader.value(of: Self.writersKey)
        partitions = try reader.value(of: Self.partitionsKey)
        keeps = try reader.value(of: Self.keepKey)
        asJSON = try reader.value(of: Self.jsonKey)
        world = try SyntheticWorld()
    }

    /// Starts the system, runs `body`, prints its result, and stops the system.
    ///
    /// - Parameters:
    ///   - catalogue: of the untrained model, where no bundle is named.
    ///   - body: gets the system, the bundle's folder and the run's folder.
    ///   - text: the result for people.
    /// - Returns: what `body` returns.
    /// - Throws: what `body` throws.
    func run<Result: Encodable & Sendable>(
        catalogue: Catalogue,
        _ body: (LocalSystem, _ bundle: String, _ folder: String) async throws -> Result,
        text: (Result) -> [(String, String)]
    ) async throws -> Result {
        let result = try await withSystem(catalogue: catalogue, body)
        try show(result, text)
        return result
    }

    /// Starts the system, runs `body`, and stops the system.
    func withSystem<Result: Sendable>(
        catalogue: Catalogue,
        _ body: (LocalSystem, _ bundle: String, _ folder: String) async throws -> Result
    ) async throws -> Result {
        let folder = try LocalSystem.makeFolder()
        defer { if !keeps { try? FileManager.default.removeItem(atPath: folder) } }
        if keeps { say("everything is in \(folder)") }
        let broker = log == .kafka ? try await KafkaBroker.start(in: folder) : nil
        do {
            let result = try await run(catalogue: catalogue, folder, broker, body)
            await broker?.stop()
            return result
        } catch {
            await broker?.stop()
            throw error
        }
    }

    private func run<Result: Sendable>(
        catalogue: Catalogue,
        _ folder: String,
        _ broker: KafkaBroker?,
        _ body: (LocalSystem, _ bundle: String, _ folder: String) async throws -> Result
    ) async throws -> Result {
        let bundleFolder = bundle.map(Self.absolute) ?? "\(folder)/bundle"
        if bundle == nil {
            try SmallBundle.write(
                to: bundleFolder,
                catalogue: catalogue,
                shape: model == .serving ? .serving : .tiny,
                languageModel: languageModel.map(Self.absolute)
            )
        }
        var options = LocalSystem.Options(log: broker?.address, bundle: bundleFolder)
        options.encoderWorkers = workers
        options.embeddingWriters = writers
        options.partitions = partitions
        say("starting the system over \(log.rawValue)")
        let system = try await LocalSystem.start(options, in: folder)
        do {
            let result = try await body(system, bundleFolder, folder)
            await system.stop()
            return result
        } catch {
            await system.stop()
            throw error
        }
    }

    /// Tells the person what happens, apart from the result.
    @Sendable func say(_ text: String) {
        FileHandle.standardError.write(Data("verify: \(text)\n".utf8))
    }

    /// Prints a result, as text or JSON.
    func show<Result: Encodable>(_ result: Result, _ text: (Result) -> [(String, String)]) throws {
        if asJSON {
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
            print(String(decoding: try encoder.encode(result), as: UTF8.self))
            return
        }
        let lines = [("log", log.rawValue), ("encoder workers", "\(workers)")] + text(result)
        let width = lines.map(\.0.count).max() ?? 0
        for (name, value) in lines {
            print(name.padding(toLength: width, withPad: " ", startingAt: 0) + "  " + value)
        }
    }

    private static func absolute(_ path: String) -> String {
        path.hasPrefix("/") ? path : FileManager.default.currentDirectoryPath + "/" + path
    }

    /// The first mismatches, for people.
    static func shown(_ mismatches: [String]) -> [(String, String)] {
        mismatches.prefix(20).map { ("WRONG", $0) }
            + (mismatches.count > 20 ? [("", "and \(mismatches.count - 20) more")] : [])
    }

    /// Latencies for people.
    static func shown(_ latencies: Latencies) -> String {
        func number(_ value: Double) -> String { value.formatted(.number.precision(.fractionLength(1))) }
        return "p50 \(number(latencies.p50)) ms, p99 \(number(latencies.p99)) ms, worst \(number(latencies.worst)) ms"
    }
}
