import Datasets
import Digests
import Foundation
import Identifiers
import Messages
import ServiceRuntime

/// The events of a file in the order they are sent, from any place on.
struct ImportSource: Sendable {
    /// The file with the events.
    let file: String
    /// Tells this file and order from others, also after a change; not of its whole content, which may be large.
    let fingerprint: String
    /// The file's size.
    let byteCount: Int
    private let dataset: DatasetFolder
    private let order: ImportConfiguration.Order
    private let skipsBadLines: Bool

    init(_ configuration: ImportConfiguration) throws {
        dataset = try DatasetFolder(path: configuration.path, format: configuration.format.dataset)
        file = dataset.eventsPath
        order = configuration.order
        skipsBadLines = configuration.skipsBadLines
        guard let handle = FileHandle(forReadingAtPath: file) else {
            throw ProcessFailure("\(file) cannot be opened: does it exist?", exitCode: .badInput)
        }
        defer { try? handle.close() }
        byteCount = Int(try handle.seekToEnd())
        var hash = SHA256()
        hash.update(Array("\(byteCount) \(order.rawValue) \(skipsBadLines)\n".utf8))
        for offset in [0, max(0, byteCount - Self.sampleByteCount)] {
            try handle.seek(toOffset: UInt64(offset))
            hash.update(Array(try handle.read(upToCount: Self.sampleByteCount) ?? Data()))
        }
        fingerprint = String(hash.hexDigest().prefix(16))
    }

    private static let sampleByteCount = 64 << 10

    /// Opens the events after the first `count`; with `position`, where those ended, without reading them again.
    func events(after count: Int, from position: ReadPosition?) throws -> ImportEvents {
        switch order {
        case .file:
            let start = position ?? .start
            return ImportEvents(.file(try reader(from: start)), skipping: position == nil ? count : 0)
        case .interleaved:
            var reader = try reader(from: .start)
            return ImportEvents(.memory(try Self.interleaved(&reader)), skipping: count)
        }
    }

    private func reader(from position: ReadPosition) throws(DatasetError) -> any EventReader {
        try dataset.events(from: position, skipsBadLines: skipsBadLines)
    }

    /// All users in turn, in the order they first occur; each one's events by time, those of one time as in the file.
    private static func interleaved(_ reader: inout any EventReader) throws -> [Event] {
        var indices: [UserID: Int] = [:]
        var histories: [[Event]] = []
        while let event: Event = try reader.next() {
            if let index = indices[event.user] {
                histories[index].append(event)
            } else {
                indices[event.user] = histories.count
                histories.append([event])
            }
        }
        for index in histories.indices { histories[index].sort { $0.time < $1.time } }
        let longest = histories.map(\.count).max() ?? 0
        return (0..<longest).flatMap { rank in
            histories.compactMap { $0.count > rank ? $0[rank] : nil }
        }
    }
}

/// Events one after the other.
struct ImportEvents {
    enum Source {
        case file(any EventReader)
        case memory([Event])
    }

    private var source: Source
    private var skipped: Int
    private var next = 0

    init(_ source: Source, skipping count: Int) {
        self.source = source
        skipped = count
    }

    /// How many there are; nil when that is not known before the end.
    var total: Int? {
        if case .memory(let events) = source { events.count } else { nil }
    }

    /// Where in the file the last event ended; nil when events do not come in the file's order.
    var position: ReadPosition? {
        if case .file(let reader) = source { reader.position } else { nil }
    }

    /// How much of the file on disk has been read.
    var bytesRead: Int {
        if case .file(let reader) = source { reader.bytesRead } else { 0 }
    }

    /// How many bad lines were left out.
    var skippedLines: Int {
        if case .file(let reader) = source { reader.skippedLines } else { 0 }
    }

    /// The next events, at most `count`; empty at the end.
    mutating func take(_ count: Int) throws -> [Event] {
        while skipped > 0 {
            guard !(try read(min(skipped, 10_000))).isEmpty else { break }
        }
        return try read(count)
    }

    private mutating func read(_ count: Int) throws -> [Event] {
        var events: [Event] = []
        switch source {
        case .memory(let all):
            events = Array(all[min(next, all.count)..<min(next + count, all.count)])
        case .file(var reader):
            while events.count < count, let event: Event = try reader.next() { events.append(event) }
            source = .file(reader)
        }
        next += events.count
        skipped = max(0, skipped - events.count)
        return events
    }
}
