import Foundation
import ServiceRuntime

/// What a running launcher records in its data folder, for `userllm status` and other tools.
struct SystemState: Codable, Sendable {
    /// One process of the system.
    struct Process: Codable, Sendable {
        /// The service's name.
        var name: String
        /// 0 for the first of its kind.
        var instance: Int
        /// Its process id; 0 while it waits for a restart.
        var pid: Int32
        /// Its service port; nil if it has none.
        var port: Int?
        /// The port of `/metrics` and `/readyz`; nil for the database.
        var adminPort: Int?
        /// How often it was restarted.
        var restarts: Int

        /// Whether its process id belongs to the program that it was recorded for.
        ///
        /// A process that has ended and that nobody has waited for, as in a container without an init process, has no
        /// command line any more.
        var isRunning: Bool {
            guard pid > 0, let line = FileManager.default.contents(atPath: "/proc/\(pid)/cmdline") else { return false }
            return String(decoding: line, as: UTF8.self).contains(name == "database" ? "postgres" : name)
        }
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

    /// The folder, readable only by its owner because addresses contain passwords.
    static func folder(in data: String) -> String { "\(data)/run" }

    private static func file(in data: String) -> String { "\(folder(in: data))/state.json" }

    /// The state of the launcher running on a data folder; nil if none is running, whatever a killed one left there.
    static func running(on data: String) -> SystemState? {
        guard let state = read(from: data) else { return nil }
        // If the folder's lock is free, no launcher is running; without permission to try, another user's launcher has
        // it.
        if let lock = try? FileLock(folder: folder(in: data)) {
            withExtendedLifetime(lock) {}
            return nil
        }
        return state
    }

    /// Reads the state; nil if no launcher is running, or ever ran, on this data folder.
    static func read(from data: String) -> SystemState? {
        guard let bytes = FileManager.default.contents(atPath: file(in: data)) else { return nil }
        return try? JSONDecoder().decode(SystemState.self, from: bytes)
    }

    /// Writes the state atomically.
    func write(to data: String) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        try PrivateFile.replace(Array(encoder.encode(self)), at: Self.file(in: data))
    }

    /// Records that no launcher is running on this data folder any more.
    static func remove(from data: String) {
        try? FileManager.default.removeItem(atPath: file(in: data))
    }
}
