import Foundation
import ServiceRuntime

/// What a launcher that runs wrote into its data folder, for `userllm status` and whoever else asks.
struct SystemState: Codable, Sendable {
    /// One process of the system.
    struct Process: Codable, Sendable {
        /// The service's name.
        var name: String
        /// 0 for the first of its kind.
        var instance: Int
        /// Its process id; 0 while it waits to be started again.
        var pid: Int32
        /// The port it serves; nil when it serves none.
        var port: Int?
        /// The port of `/metrics` and `/readyz`; nil for the database.
        var adminPort: Int?
        /// How often it was started again.
        var restarts: Int
    }

    /// The launcher's process id.
    var launcher: Int32
    /// The message log's address.
    var log: String
    /// The address of the database with the rows.
    var database: String
    /// The folder of the model bundle.
    var bundle: String
    /// The version of the model bundle.
    var modelVersion: String
    /// The gateways' addresses.
    var gateways: [String]
    /// The event ingestors' addresses.
    var ingestors: [String]
    /// Whether everything was ready once.
    var isUp: Bool
    /// All processes, in the order they are started.
    var processes: [Process]

    /// The folder, readable by its owner alone because addresses hold passwords.
    static func folder(in data: String) -> String { "\(data)/run" }

    private static func file(in data: String) -> String { "\(folder(in: data))/state.json" }

    /// What the launcher that runs on a data folder wrote; nil when none runs, whatever one that was killed left there.
    static func running(on data: String) -> SystemState? {
        guard let state = read(from: data) else { return nil }
        // Who can have the folder's lock is alone there; without permission to try, somebody else's launcher has it.
        if let lock = try? FileLock(folder: folder(in: data)) {
            withExtendedLifetime(lock) {}
            return nil
        }
        return state
    }

    /// Reads it; nil when no launcher runs, or ever ran, on this data folder.
    static func read(from data: String) -> SystemState? {
        guard let bytes = FileManager.default.contents(atPath: file(in: data)) else { return nil }
        return try? JSONDecoder().decode(SystemState.self, from: bytes)
    }

    /// Writes it whole or not at all.
    func write(to data: String) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        try PrivateFile.replace(Array(encoder.encode(self)), at: Self.file(in: data))
    }

    /// Says that no launcher runs on this data folder any more.
    static func remove(from data: String) {
        try? FileManager.default.removeItem(atPath: file(in: data))
    }
}
