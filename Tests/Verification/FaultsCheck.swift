import Bytes
import Messages
import Flows
public import MessageLogs
import UserModels

/// Holds everything that is kept against `user-events`, once the log is drained.
public struct FaultsCheck: Sendable {
    /// What was found.
    public struct Findings: Codable, Sendable {
        /// Records of `user-events`.
        public var records = 0
        /// Those that count in a row, or did until their user was deleted.
        public var applied = 0
        /// Events that their users' timelines had already.
        public var duplicates = 0
        /// Deletions of users.
        public var deletions = 0
        /// Records that are no events.
        public var rejected = 0
        /// Records that lay in partitions that are not their users'.
        public var rerouted = 0
        /// Records that were sent on once more, because the log told old offsets; they changed nothing.
        public var resent = 0
        /// Users with a row.
        public var users = 0
        /// The greatest difference of a number in a row.
        public var worstDifference: Float = 0
        /// What is wrong, one line each; empty when all is right.
        public var problems: [String] = []
    }

    private let log: any MessageLog
    private let database: String
    private let bundle: String
    private let hasForeignEmbeddings: Bool

    /// Prepares it.
    ///
    /// - Parameters:
    ///   - log: the message log.
    ///   - database: the database with the rows.
    ///   - bundle: the folder of the model bundle.
    ///   - hasForeignEmbeddings: whether somebody else than the workers wrote embeddings, so that counts may go back.
    public init(_ log: any MessageLog, database: String, bundle: String, hasForeignEmbeddings: Bool = false) {
        self.log = log
        self.database = database
        self.bundle = bundle
        self.hasForeignEmbeddings = hasForeignEmbeddings
    }

    /// Compares all topics, offsets and rows.
    public func run() async throws -> Findings { try await run(nil) }

    /// The same, and with what the load knows.
    func run(_ ledger: FaultsLedger.Contents?) async throws -> Findings {
        let length = try ModelBundle.load(bundle).timelineLength
        let topic = Topic.userEvents.rawValue
        let count = try await log.partitionCount(of: topic) ?? 1
        let oracle = try await folding(topic, of: log, into: FaultsOracle(length: length, partitionCount: count)) {
            $0.take($1)
        }
        var findings = Findings()
        findings.records = oracle.recordCount
        findings.applied = oracle.appliedCount
        findings.duplicates = oracle.duplicateCount
        findings.deletions = oracle.deletionCounts.values.reduce(0, +)
        findings.rejected = oracle.rejected.count
        findings.rerouted = oracle.misplaced.count
        findings.resent = oracle.resentCount
        findings.users = oracle.rows.userCount
        findings.add("rerouting", oracle.reroutingProblems)
        if let ledger { findings.add("ledger", Self.compare(ledger, oracle)) }
        findings.add("rejected", try await rejections(oracle))
        findings.add("timelines", try await timelines(oracle))
        findings.add("offsets", try await offsets(oracle))
        findings.add("embeddings", try await embeddings())
        let rows = try await oracle.rows.compare(with: database, bundle: bundle)
        findings.worstDifference = rows.worstDifference
        findings.add("rows", rows.mismatches)
        if rows.expectedRows != rows.foundRows {
            findings.problems.append("rows: \(rows.foundRows) where \(rows.expectedRows) users have events")
        }
        return findings
    }

    // MARK: - One by one

    /// Acknowledged is in the topic, and what is in the topic was sent.
    private static func compare(_ ledger: FaultsLedger.Contents, _ oracle: FaultsOracle) -> [String] {
        var problems: [String] = []
        for id in ledger.acknowledged.subtracting(oracle.ids.keys) {
            problems.append("event \(id) was acknowledged and is not in the log")
        }
        for (id, user) in oracle.ids where ledger.sent[id] != user {
            problems.append("event \(id) of \(user) is in the log and nobody sent it")
        }
        for (user, count) in ledger.deletions where oracle.deletionCounts[user, default: 0] < count {
            problems.append(
                "\(count) deletions of \(user) were acknowledged, \(oracle.deletionCounts[user] ?? 0) found"
            )
        }
        let rejected = Set(oracle.rejected.values)
        for key in ledger.poison.subtracting(rejected) { problems.append("\(key) was taken and is not in the log") }
        for key in rejected.subtracting(ledger.poison).subtracting(ledger.possiblePoison) {
            problems.append("a record of \(key) is no event, and nobody sent one")
        }
        return problems
    }

    /// What is no event is in the topic of the rejected, once: rejections are committed with the batch.
    private func rejections(_ oracle: FaultsOracle) async throws -> [String] {
        let found = try await folding(Topic.userEvents.rejected, of: log, into: [FaultsOracle.Place: Int]()) {
            guard let rejection = Rejection(headersOf: $1), rejection.service == "encoder-worker" else { return }
            $0[FaultsOracle.Place(partition: rejection.source.partition, offset: rejection.offset), default: 0] += 1
        }
        var problems: [String] = []
        for (place, key) in oracle.rejected where found[place] != 1 {
            problems.append("record \(place) of \(key) is no event and is there \(found[place] ?? 0) times")
        }
        for place in found.keys where oracle.rejected[place] == nil {
            problems.append("record \(place) is an event and was rejected")
        }
        return problems
    }

    /// The newest state of each user is what a restore would give, and knows the same events.
    private func timelines(_ oracle: FaultsOracle) async throws -> [String] {
        let found = try await folding(Topic.userTimelines.rawValue, of: log, into: [UserID: Timeline]()) {
            // What deletions left is nobody's timeline.
            guard $1.key != ForgottenMarks.key else { return }
            let user = UserID(String(decoding: $1.key ?? [], as: UTF8.self))
            guard let value = $1.value else { return $0[user] = nil }
            let timeline = try Timeline(decoding: value, contentType: nil)
            if let held = $0[user],
                (held.generation, held.eventCount, held.lastOffset)
                    > (timeline.generation, timeline.eventCount, timeline.lastOffset)
            {
                return
            }
            $0[user] = timeline
        }
        var problems: [String] = []
        for (user, offset) in oracle.lastOffsets {
            let count = oracle.rows.count(of: user)
            guard let timeline = found[user] else {
                problems.append("\(user) has \(count) events and no timeline")
                continue
            }
            if timeline.eventCount != count || timeline.lastOffset != offset {
                problems.append(
                    "\(user) has \(count) events up to offset \(offset), "
                        + "the timeline \(timeline.eventCount) up to \(timeline.lastOffset)"
                )
            }
        }
        for user in found.keys where oracle.lastOffsets[user] == nil { problems.append("\(user) has only a timeline") }
        return problems
    }

    /// The workers' group is at the end of the events.
    private func offsets(_ oracle: FaultsOracle) async throws -> [String] {
        let topic = Topic.userEvents.rawValue
        let committed = try await log.committedOffsets(group: ConsumerGroup.encoderWorker, topic: topic)
        return oracle.ends.compactMap { partition, end in
            let offset = committed[TopicPartition(topic, partition)] ?? 0
            return offset >= end ? nil : "\(topic)/\(partition) ends at \(end), the workers committed \(offset)"
        }
    }

    private struct Embeddings: Sendable {
        var ends: [Int32: Int64] = [:]
        var counts: [UserID: (generation: UInt32, count: UInt64)] = [:]
        var problems: [String] = []
    }

    /// A user's counts never go back in the topic, and the writers are past its last record.
    private func embeddings() async throws -> [String] {
        let isOrdered = !hasForeignEmbeddings
        let topic = Topic.userEmbeddings.rawValue
        let found = try await folding(topic, of: log, into: Embeddings()) {
            $0.ends[$1.source.partition] = $1.offset + 1
            let user = UserID(String(decoding: $1.key ?? [], as: UTF8.self))
            guard let value = $1.value else { return $0.counts[user] = nil }
            let embedding = try UserEmbedding(decoding: value, contentType: $1.header(ContentType.header))
            if isOrdered, let held = $0.counts[user], held > (embedding.generation, embedding.eventCount) {
                $0.problems.append("\(user) went from \(held.count) events back to \(embedding.eventCount)")
            }
            $0.counts[user] = (embedding.generation, embedding.eventCount)
        }
        let stored = try await FaultsDatabase.reading(database) { try await $0.writerOffsets() }
        return found.problems
            + found.ends.compactMap { partition, end in
                let offset = stored[partition] ?? 0
                return offset >= end ? nil : "\(topic)/\(partition) ends at \(end), the writers stored \(offset)"
            }
    }
}

extension FaultsCheck.Findings {
    /// Adds problems of one kind, the first of them in full.
    fileprivate mutating func add(_ kind: String, _ found: [String]) {
        let shown = found.sorted().prefix(12)
        problems += shown.map { "\(kind): \($0)" }
        if found.count > shown.count { problems.append("\(kind): and \(found.count - shown.count) more") }
    }
}
