import Foundation
public import MessageLogs

/// What the text of `MessageLog` promises, as scenarios that every conformer passes.
///
/// A test target runs them with `@Test(arguments: LogConformance.Scenario.allCases)`. Each scenario makes topics with
/// names of its own, so all of them may share one broker or database. A scenario that fails throws `Failure`.
public struct LogConformance: Sendable {
    /// What is checked.
    public enum Scenario: String, Sendable, CaseIterable {
        case keepsOrderWithinAKey
        case appendedRecordsAreSeenByAnotherLog
        case lateJoinerReadsFromTheStart
        case laterMemberGoesOnFromTheCommit
        case batchesAreBounded
        case membersSharePartitionsExactlyOnce
        case commitIsAtomic
        case refusedOutputsLeaveNothingBehind
        case uncommittedBatchComesAgainAfterClose
        case skippedBatchIsNotGivenAgain
        case commitAfterLosingAPartitionIsRefused
        case commitsMayStayBehindWhatWasRead
        case anOffsetThatIsSaidAgainIsFenced
        case outputsNeedAPartition
        case aWaitThatIsCancelledLosesNothing
        case closeEndsAWaitingReader
        case ownOffsetsAreTheReadersOwn
        case ownOffsetsAreToldToTheGroup
        case heldPartitionsFlowOnceResumed
        case readyBatchesComeBeforeTheCommit
        case aFailedCommitTakesLaterBatchesWithIt
        case aRebalanceWaitsForBatchesTakenAhead
        case aLongBatchHearsWhatIsDue
        case readyBatchesAreToldToTheGroup
        case tailReadsEverythingWithoutAGroup
        case replayGivesTheNewestOfEachKey
        case replayEndsAtEmptyAndTombstone
        case headersAndMissingValuesSurvive
        case largeRecordsAreTakenAndTooLargeNamed
        case lagAndWatermarksCount
        case createTopicsIsIdempotent
        case cleanupIsCompared
        case concurrentAppendersLoseNothing
        case unknownTopicsAreNamed
    }

    /// What a scenario found.
    public struct Failure: Error, CustomStringConvertible {
        /// What was expected, and what was there.
        public let description: String

        /// Makes a failure.
        public init(_ description: String) { self.description = description }
    }

    private let makeLog: @Sendable () async throws -> any MessageLog
    private let limit: Duration

    /// Makes the suite for one conformer.
    ///
    /// - Parameters:
    ///   - limit: how long one scenario may take.
    ///   - makeLog: opens one more connection to the same broker or database; called several times in a scenario.
    public init(limit: Duration = .seconds(600), makeLog: @escaping @Sendable () async throws -> any MessageLog) {
        self.limit = limit
        self.makeLog = makeLog
    }

    /// Runs one scenario and closes the logs it used.
    public func run(_ scenario: Scenario) async throws {
        let stage = LogStage(makeLog)
        do {
            try await withLimit(scenario.rawValue, within: limit, onTimeout: { await stage.close() }) {
                try await perform(scenario, stage)
            }
        } catch {
            await stage.close()
            throw error
        }
        await stage.close()
    }

    private func perform(_ scenario: Scenario, _ stage: LogStage) async throws {
        switch scenario {
        case .keepsOrderWithinAKey: try await stage.keepsOrderWithinAKey()
        case .appendedRecordsAreSeenByAnotherLog: try await stage.appendedRecordsAreSeenByAnotherLog()
        case .lateJoinerReadsFromTheStart: try await stage.lateJoinerReadsFromTheStart()
        case .laterMemberGoesOnFromTheCommit: try await stage.laterMemberGoesOnFromTheCommit()
        case .batchesAreBounded: try await stage.batchesAreBounded()
        case .membersSharePartitionsExactlyOnce: try await stage.membersSharePartitionsExactlyOnce()
        case .commitIsAtomic: try await stage.commitIsAtomic()
        case .refusedOutputsLeaveNothingBehind: try await stage.refusedOutputsLeaveNothingBehind()
        case .uncommittedBatchComesAgainAfterClose: try await stage.uncommittedBatchComesAgainAfterClose()
        case .skippedBatchIsNotGivenAgain: try await stage.skippedBatchIsNotGivenAgain()
        case .commitAfterLosingAPartitionIsRefused: try await stage.commitAfterLosingAPartitionIsRefused()
        case .commitsMayStayBehindWhatWasRead: try await stage.commitsMayStayBehindWhatWasRead()
        case .anOffsetThatIsSaidAgainIsFenced: try await stage.anOffsetThatIsSaidAgainIsFenced()
        case .outputsNeedAPartition: try await stage.outputsNeedAPartition()
        case .aWaitThatIsCancelledLosesNothing: try await stage.aWaitThatIsCancelledLosesNothing()
        case .closeEndsAWaitingReader: try await stage.closeEndsAWaitingReader()
        case .heldPartitionsFlowOnceResumed: try await stage.heldPartitionsFlowOnceResumed()
        case .readyBatchesComeBeforeTheCommit: try await stage.readyBatchesComeBeforeTheCommit()
        case .aFailedCommitTakesLaterBatchesWithIt: try await stage.aFailedCommitTakesLaterBatchesWithIt()
        case .aRebalanceWaitsForBatchesTakenAhead: try await stage.aRebalanceWaitsForBatchesTakenAhead()
        case .aLongBatchHearsWhatIsDue: try await stage.aLongBatchHearsWhatIsDue()
        case .readyBatchesAreToldToTheGroup: try await stage.readyBatchesAreToldToTheGroup()
        case .ownOffsetsAreTheReadersOwn: try await stage.ownOffsetsAreTheReadersOwn()
        case .ownOffsetsAreToldToTheGroup: try await stage.ownOffsetsAreToldToTheGroup()
        case .tailReadsEverythingWithoutAGroup: try await stage.tailReadsEverythingWithoutAGroup()
        case .replayGivesTheNewestOfEachKey: try await stage.replayGivesTheNewestOfEachKey()
        case .replayEndsAtEmptyAndTombstone: try await stage.replayEndsAtEmptyAndTombstone()
        case .headersAndMissingValuesSurvive: try await stage.headersAndMissingValuesSurvive()
        case .largeRecordsAreTakenAndTooLargeNamed: try await stage.largeRecordsAreTakenAndTooLargeNamed()
        case .lagAndWatermarksCount: try await stage.lagAndWatermarksCount()
        case .createTopicsIsIdempotent: try await stage.createTopicsIsIdempotent()
        case .cleanupIsCompared: try await stage.cleanupIsCompared()
        case .concurrentAppendersLoseNothing: try await stage.concurrentAppendersLoseNothing()
        case .unknownTopicsAreNamed: try await stage.unknownTopicsAreNamed()
        }
    }
}

/// Runs `operation`, and throws when it has not ended within the limit.
///
/// - Parameters:
///   - name: what the error calls it.
///   - limit: how long it may take; only there to end a hang.
///   - onTimeout: frees what the operation waits for, beside cancelling it.
///   - operation: what is run.
/// - Returns: what the operation gives.
/// - Throws: what the operation throws, or `LogConformance.Failure` at the limit.
public func withLimit<Result: Sendable>(
    _ name: String,
    within limit: Duration = .seconds(600),
    onTimeout: @escaping @Sendable () async -> Void = {},
    _ operation: @escaping @Sendable () async throws -> Result
) async throws -> Result {
    try await withThrowingTaskGroup(of: Result.self) { group in
        group.addTask { try await operation() }
        group.addTask {
            try await Task.sleep(for: limit)
            await onTimeout()
            throw LogConformance.Failure("\(name) has not ended within \(limit)")
        }
        defer { group.cancelAll() }
        guard let result = try await group.next() else { throw LogConformance.Failure("\(name) gave nothing") }
        return result
    }
}

/// One scenario's logs and names.
final actor LogStage {
    private let makeLog: @Sendable () async throws -> any MessageLog
    private var logs: [any MessageLog] = []
    private let suffix = UUID().uuidString.prefix(8).lowercased()

    init(_ makeLog: @escaping @Sendable () async throws -> any MessageLog) {
        self.makeLog = makeLog
    }

    /// One more connection to the log, as another process would have.
    func log() async throws -> any MessageLog {
        let log = try await makeLog()
        logs.append(log)
        return log
    }

    func close() async {
        let open = logs
        logs = []
        for log in open { await log.close() }
    }

    /// A name that no other scenario has.
    nonisolated func name(_ name: String) -> String { "test-\(name)-\(suffix)" }

    /// Creates a topic that no other scenario has.
    func topic(
        _ log: any MessageLog,
        _ name: String,
        partitions: Int32,
        cleanup: TopicSpecification.Cleanup = .delete(after: .seconds(86_400))
    ) async throws -> String {
        let topic = self.name(name)
        try await log.createTopics([TopicSpecification(name: topic, partitionCount: partitions, cleanup: cleanup)])
        return topic
    }
}

/// Waits until the condition holds; the scenario's limit ends it otherwise.
func poll(_ condition: () async throws -> Bool) async throws {
    while try await !condition() { try await Task.sleep(for: .milliseconds(20)) }
}

func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }

func text(_ bytes: [UInt8]?) -> String { bytes.map { String(decoding: $0, as: UTF8.self) } ?? "nil" }

/// Throws a failure unless the condition holds.
func require(_ condition: Bool, _ message: @autoclosure () -> String) throws {
    guard condition else { throw LogConformance.Failure(message()) }
}

/// Throws a failure unless both are equal.
func requireEqual<Value: Equatable>(_ found: Value, _ expected: Value, _ what: String) throws {
    guard found == expected else { throw LogConformance.Failure("\(what): found \(found), expected \(expected)") }
}

/// The `StreamError` that an operation throws; throws a failure when it throws none.
func streamError(_ what: String, _ operation: @Sendable () async throws -> Void) async throws -> StreamError {
    do {
        try await operation()
    } catch let error as StreamError {
        return error
    }
    throw LogConformance.Failure("\(what) was accepted")
}

/// A member that reads and remembers.
final actor LogReader {
    nonisolated let subscription: any Subscription
    private(set) var records: [Record] = []
    private(set) var batches: [Batch] = []
    private(set) var owned: Set<TopicPartition> = []

    init(_ subscription: any Subscription) {
        self.subscription = subscription
    }

    var values: [String] { records.map { text($0.value) } }

    /// The next event; at the end of the subscription a failure.
    func next() async throws -> SubscriptionEvent {
        guard let event = try await subscription.next() else {
            throw LogConformance.Failure("the subscription ended; read so far: \(values.suffix(20))")
        }
        switch event {
        case .assigned(let partitions): assigned(partitions)
        case .revoked(let partitions, _): revoked(partitions)
        case .batch(let batch): read(batch)
        }
        return event
    }

    func assigned(_ partitions: [TopicPartition]) { owned.formUnion(partitions) }

    func revoked(_ partitions: [TopicPartition]) { owned.subtract(partitions) }

    func read(_ batch: Batch) {
        records += batch.records
        batches.append(batch)
    }

    /// The next batch, whatever comes before it.
    func batch() async throws -> Batch {
        while true {
            if case .batch(let batch) = try await next() { return batch }
        }
    }

    /// Waits for partitions.
    func own(_ count: Int) async throws {
        while owned.count != count { _ = try await next() }
    }

    /// Reads and commits until so many records have come.
    func readCommitting(_ count: Int) async throws {
        while records.count < count {
            if case .batch(let batch) = try await next() { try await subscription.commit(batch, producing: []) }
        }
    }

    /// Reads, without a commit, until so many records have come.
    func read(_ count: Int) async throws {
        while records.count < count { _ = try await next() }
    }

    nonisolated func close() async { await subscription.close() }
}

extension MessageLog {
    /// A member of a group, as the scenarios use it.
    func reader(
        _ topics: [String],
        _ membership: SubscriptionOptions.Membership,
        maximumBatchCount: Int = 1_000,
        member: String = "test-1",
        holdsNewPartitions: Bool = false
    ) async throws -> LogReader {
        LogReader(
            try await subscribe(
                SubscriptionOptions(
                    topics: topics,
                    membership: membership,
                    maximumBatchCount: maximumBatchCount,
                    memberName: member,
                    sessionTimeout: .seconds(6),
                    holdsNewPartitions: holdsNewPartitions
                )
            )
        )
    }

    /// Everything that is in a topic, by a group of its own.
    func everything(in topic: String) async throws -> [Record] {
        var records: [Record] = []
        for partition in 0..<(try await partitionCount(of: topic) ?? 0) {
            let collected = Collected()
            try await replay(TopicPartition(topic, partition)) { await collected.add($0) }
            records += await collected.records
        }
        return records
    }
}

/// Records that a replay gave.
actor Collected {
    private(set) var records: [Record] = []
    func add(_ more: [Record]) { records += more }
}
