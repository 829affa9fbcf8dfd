import MessageLogs
import Testing

@testable import KafkaLogs

/// What a group's offsets say about a commit whose answer did not come.
@Suite struct CommitOutcomeTests {
    private static let zero = TopicPartition("events", 0)
    private static let one = TopicPartition("events", 1)

    struct Case: Sendable, CustomTestStringConvertible {
        let name: String
        var isAcknowledged = false
        let found: GroupOffsets
        let verdict: PendingCommit.Verdict

        var testDescription: String { name }
    }

    private static func commit(isAcknowledged: Bool) -> PendingCommit {
        var commit = PendingCommit(offsets: [zero: 5, one: 7], metadata: "ours", outputs: [], startedAt: 0)
        commit.isAcknowledged = isAcknowledged
        return commit
    }

    private static func offsets(
        _ first: Int64?,
        _ second: Int64?,
        _ metadata: String = "ours"
    ) -> [TopicPartition: CommittedOffset] {
        [zero: first, one: second].compactMapValues { $0 }.mapValues { CommittedOffset(offset: $0, metadata: metadata) }
    }

    @Test(arguments: cases)
    func isReadOffTheOffsets(_ row: Case) {
        #expect(Self.commit(isAcknowledged: row.isAcknowledged).verdict(by: row.found) == row.verdict)
    }

    private static let cases: [Case] = [
        Case(name: "they are its own", found: .stable(offsets(5, 7)), verdict: .committed),
        // A coordinator that is loading tells old ones, so it is asked again after a write.
        Case(name: "they are old", found: .stable(offsets(3, 6, "before")), verdict: .asksAgain),
        Case(name: "there are none", found: .stable([:]), verdict: .asksAgain),
        Case(name: "one is missing", found: .stable(offsets(5, nil)), verdict: .asksAgain),
        // The same offset counts only with the metadata of this very transaction.
        Case(name: "they are equal, of another", found: .stable(offsets(5, 7, "another")), verdict: .asksAgain),
        // Who went on from there may have done so from the commit before, too.
        Case(name: "somebody went on", found: .stable(offsets(9, 9, "another")), verdict: .asksAgain),
        Case(
            name: "somebody went on from what was acknowledged",
            isAcknowledged: true,
            found: .stable(offsets(9, 9, "another")),
            verdict: .committed
        ),
        Case(
            name: "what was acknowledged is gone",
            isAcknowledged: true,
            found: .stable(offsets(3, 6, "before")),
            verdict: .asksAgain
        ),
        // Only the outputs may be open then, and they count.
        Case(name: "pending over its own", found: .pending(before: offsets(5, 7)), verdict: .committed),
        Case(name: "pending over older ones", found: .pending(before: offsets(3, 6, "before")), verdict: .asksOutputs),
        Case(name: "pending over none", found: .pending(before: [:]), verdict: .asksOutputs),
        Case(
            name: "pending over the same offset, said by the one before",
            found: .pending(before: offsets(5, 7, "before")),
            verdict: .asksOutputs
        ),
        Case(
            name: "pending over those of somebody who went on",
            found: .pending(before: offsets(3, 9, "another")),
            verdict: .superseded
        ),
    ]

    @Test func isCertainByCurrentOffsetsOnly() {
        let commit = Self.commit(isAcknowledged: false)
        #expect(commit.outcome(byCurrent: Self.offsets(5, 7)) == .committed)
        #expect(commit.outcome(byCurrent: Self.offsets(5, 7, "another")) == .aborted)
        #expect(commit.outcome(byCurrent: [:]) == .aborted)
    }

    /// A time-out is told as it is, and is none of the two answers.
    @Test func silenceIsNoAnswer() {
        let silence = CommitOutcome.unknown(.unavailable("no answer"))
        #expect(silence != .aborted && silence != .committed)
    }

    /// One of the outputs is looked for, so it must be one whose partition is known, and that is there to be seen.
    @Test func looksForAnOutputThatCanBeFound() {
        func probe(_ outputs: [OutgoingRecord]) -> OutgoingRecord? {
            PendingCommit(offsets: [:], metadata: "", outputs: outputs, startedAt: 0).probe
        }
        let keyed = OutgoingRecord(topic: "outputs", key: [1], value: [1])
        let placed = OutgoingRecord(topic: "outputs", partition: 2, key: nil, value: [1])
        let deletion = OutgoingRecord(topic: "outputs", key: [1], value: nil)
        let anywhere = OutgoingRecord(topic: "outputs", key: nil, value: [1])
        #expect(probe([placed, keyed, deletion, anywhere]) == keyed)
        #expect(probe([placed, anywhere]) == placed)
        #expect(probe([deletion, anywhere]) == nil)
    }
}
