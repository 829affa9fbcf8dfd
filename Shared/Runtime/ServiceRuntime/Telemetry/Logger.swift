public import Foundation
import Glibc
import JSON
import Bytes
import Synchronization

/// Writes messages for people or machines; passed to the code that logs.
///
/// The message is a constant sentence; what varies goes into metadata under dotted keys (`kafka.topic`, `batch.count`).
public struct Logger: Sendable {
    /// The severity of a message.
    public enum Level: String, Sendable, CaseIterable, Comparable, ConfigurationValue {
        /// Single steps.
        case trace
        /// For debugging; may name users.
        case debug
        /// What is done, per batch.
        case info
        /// Rare and worth knowing.
        case notice
        /// Something is wrong, and was dealt with.
        case warning
        /// Something failed.
        case error
        /// The process ends because of it.
        case critical

        /// Orders by severity.
        public static func < (a: Level, b: Level) -> Bool { a.rank < b.rank }
        private var rank: Int { Self.allCases.firstIndex(of: self) ?? 0 }
    }

    /// Values by dotted key.
    public typealias Metadata = [String: String]

    /// The lowest severity that is written.
    public let level: Level
    /// The process or part that logs.
    public let label: String
    private var metadata: Metadata = [:]
    private let handler: any LogHandler

    /// Makes a logger.
    public init(label: String, level: Level = .info, handler: any LogHandler) {
        self.label = label
        self.level = level
        self.handler = handler
    }

    /// Adds a value to every message.
    public subscript(metadataKey key: String) -> String? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    /// Writes a message if its level is high enough.
    public func log(_ level: Level, _ message: @autoclosure () -> String, metadata: @autoclosure () -> Metadata = [:]) {
        guard level >= self.level else { return }
        let all = self.metadata.merging(metadata()) { _, new in new }
        handler.log(LogEntry(time: Date(), level: level, label: label, message: message(), metadata: all))
    }

    /// Writes single steps.
    public func trace(_ message: @autoclosure () -> String, metadata: @autoclosure () -> Metadata = [:]) {
        log(.trace, message(), metadata: metadata())
    }
    /// Writes a message for debugging.
    public func debug(_ message: @autoclosure () -> String, metadata: @autoclosure () -> Metadata = [:]) {
        log(.debug, message(), metadata: metadata())
    }
    /// Writes what is done.
    public func info(_ message: @autoclosure () -> String, metadata: @autoclosure () -> Metadata = [:]) {
        log(.info, message(), metadata: metadata())
    }
    /// Writes what is rare and worth knowing.
    public func notice(_ message: @autoclosure () -> String, metadata: @autoclosure () -> Metadata = [:]) {
        log(.notice, message(), metadata: metadata())
    }
    /// Writes what is wrong and was dealt with.
    public func warning(_ message: @autoclosure () -> String, metadata: @autoclosure () -> Metadata = [:]) {
        log(.warning, message(), metadata: metadata())
    }
    /// Writes what failed.
    public func error(_ message: @autoclosure () -> String, metadata: @autoclosure () -> Metadata = [:]) {
        log(.error, message(), metadata: metadata())
    }
    /// Writes why the process ends.
    public func critical(_ message: @autoclosure () -> String, metadata: @autoclosure () -> Metadata = [:]) {
        log(.critical, message(), metadata: metadata())
    }
}

/// One message with all that belongs to it.
public struct LogEntry: Sendable {
    /// When it was written.
    public let time: Date
    /// Its severity.
    public let level: Logger.Level
    /// Who wrote it.
    public let label: String
    /// What happened, a constant sentence.
    public let message: String
    /// What varies, by dotted key.
    public let metadata: Logger.Metadata
}

/// Takes messages: `StreamLogHandler` in a process, a recording one in a test.
public protocol LogHandler: Sendable {
    /// Takes one message.
    func log(_ entry: LogEntry)
}

/// Writes each message as one line to standard error.
public struct StreamLogHandler: LogHandler {
    /// How a line looks.
    public enum Format: String, Sendable, CaseIterable, ConfigurationValue {
        /// `human` on a terminal, `json` elsewhere.
        case automatic = "auto"
        /// Time, level, message, `key=value`.
        case human
        /// One JSON object.
        case json
    }

    private let isHuman: Bool
    private let descriptor: Int32

    /// Makes a handler.
    public init(format: Format = .automatic, descriptor: Int32 = 2) {
        self.descriptor = descriptor
        isHuman = format == .human || (format == .automatic && isatty(descriptor) == 1)
    }

    /// Writes one line with one system call, so that lines of several threads do not mix.
    public func log(_ entry: LogEntry) {
        let line = isHuman ? Self.humanLine(entry) : Self.jsonLine(entry)
        var rest = Array(line.utf8)[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }
            if count > 0 { rest = rest.dropFirst(count) } else if count == 0 || errno != EINTR { return }
        }
    }

    static func humanLine(_ entry: LogEntry) -> String {
        let level = entry.level.rawValue.padding(toLength: 8, withPad: " ", startingAt: 0)
        let metadata = entry.metadata.sorted { $0.key < $1.key }.map { " \($0.key)=\(oneLine($0.value))" }.joined()
        return "\(timestamp(entry.time)) \(level) \(entry.label): \(oneLine(entry.message))\(metadata)\n"
    }

    static func jsonLine(_ entry: LogEntry) -> String {
        var line = "{\"time\":\"\(timestamp(entry.time))\",\"level\":\"\(entry.level.rawValue)\""
        line += ",\"label\":\(JSONText.quoted(entry.label)),\"message\":\(JSONText.quoted(entry.message))"
        for (key, value) in entry.metadata.sorted(by: { $0.key < $1.key }) {
            line += ",\(JSONText.quoted(key)):\(JSONText.quoted(value))"
        }
        return line + "}\n"
    }

    private static func oneLine(_ text: String) -> String {
        let isOne = !text.contains { $0.isNewline }
        let line = isOne ? text : text.split(whereSeparator: \.isNewline).joined(separator: " | ")
        return ControlCharacters.escaped(line)
    }

    /// As in `2026-01-31T12:34:56.789Z`.
    static func timestamp(_ date: Date) -> String {
        date.formatted(
            .iso8601.year().month().day().time(includingFractionalSeconds: true).timeZone(separator: .omitted)
        )
    }
}
