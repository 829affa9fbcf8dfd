import Foundation
import Bytes
import Messages
import ServiceRuntime
import MessageLogs
import Synchronization
import TestSupport
import Testing

@testable import EventIngestor

/// A folder with files to import, and users that no other test has.
final class ImportStage: Sendable {
    let user = "import-\(UUID().uuidString)-"
    let folder = FileManager.default.temporaryDirectory.appending(path: "import-\(UUID().uuidString)").path

    init() throws { try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true) }

    deinit { try? FileManager.default.removeItem(atPath: folder) }

    /// An event as a line; times are milliseconds since some day in 2023.
    func line(_ index: Int, _ item: String, _ time: Int) -> String {
        #"{"user":"\#(user)\#(index)","item":"\#(item)","time":\#(1_700_000_000_000 + time)}"#
    }

    /// Writes a file, and gives its path.
    @discardableResult
    func write(_ text: String, to name: String = "events.ndjson") throws -> String {
        let path = "\(folder)/\(name)"
        try Data(text.utf8).write(to: URL(fileURLWithPath: path))
        return path
    }

    /// The import of a file, as its command runs it.
    func flow(
        _ path: String,
        _ log: any MessageLog,
        _ flags: [String: String] = [:],
        sortMemory: Int? = nil,
        logger: Logger = silentLogger
    ) throws -> ImportFlow {
        let reader = try ConfigurationReader(keys: ImportConfiguration.keys, flags: flags)
        var configuration = try ImportConfiguration(path: path, reader: reader)
        if let sortMemory { configuration.sortMemory = sortMemory }
        return ImportFlow(
            configuration: configuration,
            source: try ImportSource(configuration),
            log: log,
            partitionCount: 4,
            logger: logger
        )
    }

    /// Runs an import that must be refused, and gives the reason.
    func refusal(
        _ path: String,
        _ log: any MessageLog,
        _ flags: [String: String] = [:],
        sourceLocation: SourceLocation = #_sourceLocation
    ) async -> String {
        do {
            try await flow(path, log, flags).run(until: Shutdown())
            Issue.record("it was imported", sourceLocation: sourceLocation)
            return ""
        } catch {
            #expect((error as? any ExitCodeError)?.exitCode == .badInput, sourceLocation: sourceLocation)
            return "\(error)"
        }
    }

    /// What the log has of each user, users in order: `0:item` for the user with index 0.
    func items(_ log: any MessageLog) async throws -> [String] {
        let events = try await TestLog.records(log, ofUsers: user)
            .map { try Event(decoding: $0.value ?? [], contentType: nil) }
        var byUser: [Int: [String]] = [:]
        for event in events {
            let index = try #require(Int(event.user.text.dropFirst(user.count)))
            byUser[index, default: []].append("\(index):\(event.item)")
        }
        return byUser.sorted { $0.key < $1.key }.flatMap(\.value)
    }

    /// The state of the import of a file, where no other place was named.
    func state(of path: String) throws -> ImportState {
        let name = try #require(
            FileManager.default.contentsOfDirectory(atPath: folder)
                .first { $0.hasPrefix((path as NSString).lastPathComponent + ".import-") }
        )
        return try #require(try ImportState.read("\(folder)/\(name)"))
    }

    /// A log that ends the process, as it were, at one append: part of it is taken.
    func dying(_ log: any MessageLog, at number: Int, taking count: Int? = nil) -> GuardedLog {
        let appends = Mutex(0)
        return GuardedLog(log) { (records, log) throws(StreamError) in
            let isLast = appends.withLock { appends in
                appends += 1
                return appends == number
            }
            try await log.append(isLast ? Array(records.prefix(count ?? records.count)) : records)
            if isLast { throw .fatal("killed") }
        }
    }

    /// A log that keeps the order in which records are appended: the index of the user and the item.
    func recording(_ log: any MessageLog, _ sent: Sent) -> GuardedLog {
        GuardedLog(log) { (records, log) throws(StreamError) in
            sent.add(
                records.map { record in
                    let user = String(decoding: record.key ?? [], as: UTF8.self).dropFirst(self.user.count)
                    let event = try? Event(decoding: record.value ?? [], contentType: nil)
                    return "\(user):\(event.map { "\($0.item)" } ?? "")"
                }
            )
            try await log.append(records)
        }
    }

    /// What was appended, in order.
    final class Sent: Sendable {
        private let state = Mutex<[String]>([])
        var all: [String] { state.withLock { $0 } }
        func add(_ some: [String]) { state.withLock { $0 += some } }
    }

    /// What an import says of itself.
    final class Said: LogHandler {
        private let state = Mutex<[LogEntry]>([])
        func log(_ entry: LogEntry) { state.withLock { $0.append(entry) } }

        /// The last value of a field.
        func last(_ field: String) -> String? {
            state.withLock { $0.last { $0.metadata[field] != nil }?.metadata[field].map { "\($0)" } }
        }
    }
}
