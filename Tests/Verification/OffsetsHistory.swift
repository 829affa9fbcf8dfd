import StreamProcessing
import Streams

/// Every offset that groups have committed to a Kafka, as its own topic of them tells.
///
/// To ask the broker again and again would not do: one that was killed tells old offsets until somebody writes to the group.
enum OffsetsHistory {
    private static let topic = "__consumer_offsets"

    /// Commits that were before an earlier one of the same group and partition, but for those in the given partitions of
    /// the broker's topic, which are told apart.
    static func steps(
        _ log: any MessageLog,
        groups: Set<String>,
        forgotten: Set<Int32>
    ) async throws -> (problems: [String], forgotten: [String]) {
        let number = Int32(try await log.partitionCount(of: topic) ?? 0)
        var result: (problems: [String], forgotten: [String]) = ([], [])
        for group in groups.sorted() {
            let found = try await problems(log, groups: [group])
            if forgotten.contains(partition(of: group, count: number)) {
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
    static func problems(_ log: any MessageLog, groups: Set<String>) async throws -> [String] {
        let newest = try await folding(topic, of: log, into: History()) { history, record in
            guard let commit = Commit(record), groups.contains(commit.group) else { return }
            history.take(commit)
        }
        return newest.isEmpty ? ["no commit of \(groups.sorted()) is in \(topic)"] : newest.problems
    }

    private struct History: Sendable {
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
        init?(_ record: Record) {
            guard var key = record.key.map({ $0[...] }), let value = record.value,
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
