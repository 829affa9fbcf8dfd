import Foundation
import MessageLogs

/// Every offset that groups have committed to a Kafka, as the files of its own topic of them tell.
///
/// To ask the broker again and again would not do: one that was killed tells old offsets until somebody writes to the group.
/// To read the topic as a consumer would not do either: a transaction that the broker left open (KAFKA-20734) holds back all
/// that comes after it. The files have the markers that end transactions, so what is behind an open one can be read.
enum OffsetsHistory {
    private static let topic = "__consumer_offsets"

    /// Commits that were before an earlier one of the same group and partition, but for those in the given partitions of
    /// the broker's topic, which are told apart.
    ///
    /// - Parameters:
    ///   - folder: where the broker keeps its topics.
    ///   - groups: the groups.
    ///   - forgotten: the partitions of the broker's topic in which it may have forgotten offsets.
    /// - Returns: what went back, and what did where the broker forgot.
    /// - Throws: `VerificationError` for files that cannot be read.
    static func steps(
        in folder: String,
        groups: Set<String>,
        forgotten: Set<Int32>
    ) throws -> (problems: [String], forgotten: [String]) {
        let count = try partitionCount(in: folder)
        var result: (problems: [String], forgotten: [String]) = ([], [])
        for group in groups.sorted() {
            let found = try problems(in: folder, groups: [group])
            if forgotten.contains(partition(of: group, count: count)) {
                result.forgotten += found
            } else {
                result.problems += found
            }
        }
        return result
    }

    /// Where a group's offsets lie: by the hash that Java has for texts.
    static func partition(of group: String, count: Int32) -> Int32 {
        let hash = group.utf16.reduce(Int32(0)) { $0 &* 31 &+ Int32($1) }
        return count == 0 ? 0 : Int32(hash.magnitude % UInt32(count))
    }

    /// Commits that were before an earlier one of the same group and partition.
    static func problems(in folder: String, groups: Set<String>) throws -> [String] {
        var history = History()
        for partition in 0..<(try partitionCount(in: folder)) {
            for commit in try commits(ofPartitionIn: "\(folder)/\(topic)-\(partition)")
            where groups.contains(commit.group) {
                history.take(commit)
            }
        }
        return history.isEmpty ? ["no commit of \(groups.sorted()) is in \(topic)"] : history.problems
    }

    private static func partitionCount(in folder: String) throws -> Int32 {
        let names = try FileManager.default.contentsOfDirectory(atPath: folder)
        return Int32(names.count { $0.hasPrefix("\(topic)-") })
    }

    /// The commits of one partition of the topic, in the order in which they came into force.
    private static func commits(ofPartitionIn folder: String) throws -> [Commit] {
        var segments: [[UInt8]] = []
        for name in try FileManager.default.contentsOfDirectory(atPath: folder).sorted() where name.hasSuffix(".log") {
            segments.append([UInt8](try Data(contentsOf: URL(filePath: "\(folder)/\(name)"))))
        }
        return try SegmentReader.committedRecords(of: segments).compactMap { Commit(key: $0.key, value: $0.value) }
    }

    private struct History {
        private var newest: [String: Int64] = [:]
        private(set) var problems: [String] = []
        var isEmpty: Bool { newest.isEmpty }

        mutating func take(_ commit: Commit) {
            let place = "\(commit.group) at \(commit.partition)"
            let before = newest[place] ?? 0
            if commit.offset < before {
                problems.append("the offset of \(place) went from \(before) back to \(commit.offset)")
            }
            newest[place] = commit.offset
        }
    }

    /// A record of the topic: numbers in the network's order, texts behind their length in two bytes.
    struct Commit {
        let group: String
        let partition: TopicPartition
        let offset: Int64

        /// Nil for what is no commit: groups, and offsets that were deleted.
        init?(key: [UInt8]?, value: [UInt8]?) {
            guard var key = key.map({ $0[...] }), let value,
                let version = Self.number(&key, 2), version <= 1,
                let group = Self.text(&key), let topic = Self.text(&key), let number = Self.number(&key, 4)
            else { return nil }
            var rest = value.dropFirst(2)
            guard let offset = Self.number(&rest, 8) else { return nil }
            self.group = group
            partition = TopicPartition(topic, Int32(truncatingIfNeeded: number))
            self.offset = offset
        }

        private static func number(_ bytes: inout ArraySlice<UInt8>, _ count: Int) -> Int64? {
            guard bytes.count >= count else { return nil }
            defer { bytes = bytes.dropFirst(count) }
            return bytes.prefix(count).reduce(0) { $0 << 8 | Int64($1) }
        }

        private static func text(_ bytes: inout ArraySlice<UInt8>) -> String? {
            guard let count = number(&bytes, 2).map(Int.init), bytes.count >= count else { return nil }
            defer { bytes = bytes.dropFirst(count) }
            return String(decoding: bytes.prefix(count), as: UTF8.self)
        }
    }
}
