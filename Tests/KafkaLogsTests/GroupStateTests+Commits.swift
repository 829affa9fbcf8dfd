import MessageLogs

@testable import KafkaLogs

/// What failed commits do.
extension GroupStateTests {
    static let failedCommits: [Transition] = [
        Transition(
            name: "a failed commit refuses what the member has",
            because: "the flow's work since the last commit is void, and later commits may not go over the gap",
            given: fetching(zero, 5),
            event: .commitFailed([zero, one]),
            phases: [zero: .refused(isFetched: true)]
        ),
        Transition(
            name: "also what is not fetched yet",
            because: "an offset may be committed again before the first record",
            given: assigned(zero, 5),
            event: .commitFailed([zero]),
            phases: [zero: .refused(isFetched: false)]
        ),
        Transition(
            name: "what is not fetched yet is not fetched with the answer",
            because: "the group is answered all the same",
            given: assigned(zero, 5) + [.commitFailed([zero])],
            event: .nextRequested,
            actions: [.change(.add([:], again: [], all: [:]))],
            phases: [zero: .refused(isFetched: false)]
        ),
        Transition(
            name: "a dropped partition has no commits",
            because: "the flow was told already",
            given: dropped(zero, 5),
            event: .commitFailed([zero]),
            phases: [zero: .dropped(isFetched: true)]
        ),
        Transition(
            name: "the flow is told of the refusal before anything else",
            because: "what the flow did since the last commit is void, so it must drop its state before it reads "
                + "again",
            given: fetching([zero: 5, one: 7]) + [.commitFailed([one]), .rebalanced(.revoke([zero]))],
            event: idle,
            actions: [.discardRecords, .tellRevoked([one], lost: true)],
            phases: [zero: .fetching(position: 5), one: .dropped(isFetched: true)]
        ),
        Transition(
            name: "a dropped partition is assigned again",
            because: "the group has not taken it, and nobody else reads it",
            given: dropped(zero, 5),
            event: idle,
            actions: [.readStarts([zero])],
            phases: [zero: .dropped(isFetched: true)]
        ),
        Transition(
            name: "it waits for the rebalance that is expected",
            because: "a member that the group refused would only lose it again",
            given: dropped(zero, 5) + [.rebalanceExpected(until: later)],
            event: idle,
            phases: [zero: .dropped(isFetched: true)]
        ),
        Transition(
            name: "it is taken back when none came",
            because: "a member without a rebalance would never read the partition again",
            given: dropped(zero, 5) + [.rebalanceExpected(until: later)],
            event: .idle(isLost: false, now: later),
            actions: [.readStarts([zero])],
            phases: [zero: .dropped(isFetched: true)]
        ),
        Transition(
            name: "it starts from what is committed",
            because: "the refused batch comes again",
            given: dropped(zero, 5) + [idle],
            event: .startsRead([zero: at(3)]),
            actions: [.tellAssigned([zero])],
            phases: [zero: .assigned(from: 3, isFetched: true)]
        ),
        Transition(
            name: "the step back takes it out of the assignment first",
            because: "a seek of librdkafka 2.0.2 times out at once (librdkafka#4230), so it is taken out and "
                + "added again",
            given: dropped(zero, 5) + [idle, .startsRead([zero: at(3)])],
            event: .nextRequested,
            actions: [.change(.add([zero: 3], again: [zero], all: [zero: 3]))],
            phases: [zero: .fetching(position: 3)]
        ),
        Transition(
            name: "a rebalance that waits is not answered by it",
            because: "an answer that comes first would be for the wrong partitions",
            given: dropped(zero, 5) + [idle, .rebalanced(.revoke([one])), .startsRead([zero: at(3)]), .nextRequested],
            event: idle,
            actions: [.commitAdvisory([one]), .discardRecords, .change(.remove([])), .awaitEmptyAssignment],
            phases: [zero: .fetching(position: 3)]
        ),
    ]
}
