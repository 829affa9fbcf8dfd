import MessageLogs
import Testing

@testable import KafkaLogs

/// Every transition of a member's place in its group, without a broker.
@Suite struct GroupStateTests {
    /// One transition, and the fault or rule that asks for it.
    struct Transition: Sendable, CustomTestStringConvertible {
        let name: String
        let because: String
        var pauses = false
        /// What happened before.
        var given: [GroupState.Event] = []
        let event: GroupState.Event
        /// What is to be done about it, and where the partitions stand then; those that are left out are not the member's.
        var actions: [GroupState.Action] = []
        var phases: [TopicPartition: Phase] = [:]

        var testDescription: String { name }
    }

    @Test(arguments: assignments + revocations + losses + failedCommits + pausedStarts + resumptions + withoutGroup)
    func takes(_ transition: Transition) {
        var group = GroupState(pausesNewPartitions: transition.pauses)
        for event in transition.given { _ = group.handle(event) }
        #expect(group.handle(transition.event) == transition.actions, "\(transition.because)")
        for partition in [Self.zero, Self.one] {
            #expect(group.phase(of: partition) == transition.phases[partition], "\(partition): \(transition.because)")
        }
    }

    // MARK: - What comes before

    static let zero = TopicPartition("events", 0)
    static let one = TopicPartition("events", 1)
    static let start = ContinuousClock.now
    static let later = start + .seconds(10)

    static let idle = GroupState.Event.idle(isLost: false, now: start)

    static func at(_ offset: Int64) -> StartingOffset { StartingOffset(committed: offset, low: 0) }

    static func assigned(_ partition: TopicPartition, _ offset: Int64) -> [GroupState.Event] {
        [.rebalanced(.assign([partition])), idle, .startsRead([partition: at(offset)])]
    }

    static func fetching(_ partition: TopicPartition, _ offset: Int64) -> [GroupState.Event] {
        fetching([partition: offset])
    }

    static func fetching(_ offsets: [TopicPartition: Int64]) -> [GroupState.Event] {
        [.rebalanced(.assign(offsets.keys.inOrder())), idle, .startsRead(offsets.mapValues(at)), .nextRequested]
    }

    static func dropped(_ partition: TopicPartition, _ offset: Int64) -> [GroupState.Event] {
        fetching(partition, offset) + [.commitFailed([partition]), idle]
    }
}
