import Foundation

/// What a launcher writes about the system it runs, as far as a verification needs it.
public struct SystemFiles: Codable, Sendable {
    /// A process of the system.
    public struct Process: Codable, Sendable {
        /// The service's name.
        public var name: String
        /// 0 for the first of its kind.
        public var instance: Int
        /// Its process id; 0 while it waits to be started again.
        public var pid: Int32
        /// The port of `/metrics` and `/readyz`; nil for the database.
        public var adminPort: Int?
        /// How often it was started again.
        public var restarts: Int
    }

    /// The launcher's process id.
    public var launcher: Int32
    /// The message log's address.
    public var log: String
    /// The database's address.
    public var database: String
    /// The model bundle's version.
    public var modelVersion: String
    /// The gateways' addresses.
    public var gateways: [String]
    /// The event ingestors' addresses.
    public var ingestors: [String]
    /// Whether everything was ready once.
    public var isUp: Bool
    /// All processes.
    public var processes: [Process]

    /// Reads the file in a data folder; nil when there is none.
    public static func read(_ data: String) -> SystemFiles? {
        guard let bytes = FileManager.default.contents(atPath: "\(data)/run/state.json") else { return nil }
        return try? JSONDecoder().decode(SystemFiles.self, from: bytes)
    }
}
