import MessageLogs

@testable import KafkaLogs

/// What rebalances do.
extension GroupStateTests {
    static let assignments: [Transition] = [
        Transition(
            name: "a rebalance waits for the flow",
            because: "the flow may be at work on a batch, and until the answer nobody else gets its partitions",
            event: .rebalanced(.assign([zero]))
        ),
        Transition(
            name: "an assignment asks where to start",
            because: "librdkafka's own question would not wait for a broker that restarts, nor write to the group "
                + "first",
            given: [.rebalanced(.assign([one, zero]))],
            event: idle,
            actions: [.readStarts([one, zero])]
        ),
        Transition(
            name: "it asks again when there was no answer",
            because: "a broker that restarts is waited for, and the rebalance stays unanswered until then",
            given: [.rebalanced(.assign([zero])), idle],
            event: idle,
            actions: [.readStarts([zero])]
        ),
        Transition(
            name: "the flow is told, and the answer is owed",
            because: "state is restored before records come, so nothing is fetched yet",
            given: [.rebalanced(.assign([zero, one]))],
            event: .startsRead([zero: at(5), one: StartingOffset(committed: nil, low: 2)]),
            actions: [.tellAssigned([zero, one])],
            phases: [zero: .assigned(from: 5, isFetched: false), one: .assigned(from: 2, isFetched: false)]
        ),
        Transition(
            name: "the answer is given when the flow asks for more",
            because: "KIP-429: partitions that stay go on, so only the new ones are added",
            given: assigned(zero, 5) + [.nextRequested] + assigned(one, 7),
            event: .nextRequested,
            actions: [.change(.add([one: 7], again: [], all: [zero: 5, one: 7]))],
            phases: [zero: .fetching(position: 5), one: .fetching(position: 7)]
        ),
        Transition(
            name: "it is given once",
            because: "incremental_assign refuses a partition that is fetched already (_CONFLICT)",
            given: fetching(zero, 5),
            event: .nextRequested,
            phases: [zero: .fetching(position: 5)]
        ),
        Transition(
            name: "a committed offset that is gone is an error",
            because: "retention deleted what the group has still to read: never to be passed over silently "
                + "(quix-streams#1114)",
            given: [.rebalanced(.assign([zero]))],
            event: .startsRead([zero: StartingOffset(committed: 3, low: 6)]),
            actions: [.fail(.offsetGone(zero, committed: 3, low: 6))]
        ),
        Transition(
            name: "offsets of an assignment that is no more are passed over",
            because: "others may have the partition by now",
            given: [.rebalanced(.assign([zero])), .rebalanced(.revoke([zero])), idle],
            event: .startsRead([zero: at(5)])
        ),
        Transition(
            name: "an empty assignment is answered at once",
            because: "librdkafka gives an assignment of nothing to a member without a share; unanswered, it keeps "
                + "the member out of the next rebalance",
            given: fetching(zero, 5) + [.rebalanced(.assign([]))],
            event: idle,
            actions: [.change(.add([:], again: [], all: [zero: 5]))],
            phases: [zero: .fetching(position: 5)]
        ),
        Transition(
            name: "an empty assignment is answered once",
            because: "a call more would be for a rebalance that is not there",
            given: fetching(zero, 5) + [.rebalanced(.assign([])), idle],
            event: idle,
            phases: [zero: .fetching(position: 5)]
        ),
    ]

    static let revocations: [Transition] = [
        Transition(
            name: "partitions are given up, and the flow is told",
            because: "the flow asked, so it is done with their last batch; the rest of a cooperative revocation "
                + "is awaited, for librdkafka joins again only after it",
            given: fetching([zero: 5, one: 7]) + [.rebalanced(.revoke([one]))],
            event: idle,
            actions: [
                .commitAdvisory([one]), .discardRecords, .change(.remove([one])), .awaitEmptyAssignment,
                .tellRevoked([one], lost: false),
            ],
            phases: [zero: .fetching(position: 5)]
        ),
        Transition(
            name: "what is not fetched is not taken away",
            because: "librdkafka refuses to take away what it does not fetch",
            pauses: true,
            given: assigned(zero, 5) + [.nextRequested, .rebalanced(.revoke([zero]))],
            event: idle,
            actions: [
                .commitAdvisory([zero]), .discardRecords, .change(.remove([])), .awaitEmptyAssignment,
                .tellRevoked([zero], lost: false),
            ]
        ),
        Transition(
            name: "a resumed partition may be revoked before it starts",
            because: "a rebalance comes at any time, also during a restore (quix-streams#1146)",
            pauses: true,
            given: assigned(zero, 5) + [.nextRequested, .resumed([zero: 8]), .rebalanced(.revoke([zero]))],
            event: idle,
            actions: [
                .commitAdvisory([zero]), .discardRecords, .change(.remove([])), .awaitEmptyAssignment,
                .tellRevoked([zero], lost: false),
            ]
        ),
        Transition(
            name: "the flow is not told twice of one that was dropped",
            because: "the flow was told of the loss before",
            given: dropped(zero, 5) + [.rebalanced(.revoke([zero]))],
            event: idle,
            actions: [.commitAdvisory([zero]), .discardRecords, .change(.remove([zero])), .awaitEmptyAssignment]
        ),
        Transition(
            name: "the assignment that ends a revocation is answered",
            because: "before the answer librdkafka does not join again, and nobody gets what was given up",
            given: fetching([zero: 5, one: 7]) + [.rebalanced(.revoke([one])), idle, .rebalanced(.assign([]))],
            event: .emptyAssignmentAwaited,
            actions: [.change(.add([:], again: [], all: [zero: 5]))],
            phases: [zero: .fetching(position: 5)]
        ),
        Transition(
            name: "another rebalance in its place waits for its turn",
            because: "it concerns the flow",
            given: fetching(zero, 5) + [.rebalanced(.revoke([zero])), idle, .rebalanced(.assign([one]))],
            event: .emptyAssignmentAwaited
        ),
        Transition(
            name: "a revocation may end without one",
            because: "librdkafka sends none after the eager protocol's",
            given: fetching(zero, 5) + [.rebalanced(.revoke([zero])), idle],
            event: .emptyAssignmentAwaited
        ),
        Transition(
            name: "the assignment that ends a revocation is answered once",
            because: "a call more would be for a rebalance that is not there",
            given: fetching(zero, 5) + [
                .rebalanced(.revoke([zero])), idle, .rebalanced(.assign([])), .emptyAssignmentAwaited,
            ],
            event: idle
        ),
    ]

    static let losses: [Transition] = [
        Transition(
            name: "a lost partition is told as lost",
            because: "others may be at work already: nothing is waited for, and librdkafka joins again at once",
            given: fetching([zero: 5, one: 7]) + [.rebalanced(.revoke([zero, one]))],
            event: .idle(isLost: true, now: start),
            actions: [
                .commitAdvisory([zero, one]), .discardRecords, .change(.remove([zero, one])),
                .tellRevoked([zero, one], lost: true),
            ]
        ),
        Transition(
            name: "a dropped partition is not taken back from a lost assignment",
            because: "it would be assigned to somebody else meanwhile (librdkafka#4908)",
            given: dropped(zero, 5),
            event: .idle(isLost: true, now: later),
            phases: [zero: .dropped(isFetched: true)]
        ),
        Transition(
            name: "a resumed partition is not started in a lost assignment",
            because: "incremental_assign clears librdkafka's mark of the loss",
            pauses: true,
            given: assigned(zero, 5) + [.nextRequested, .resumed([zero: 0])],
            event: .idle(isLost: true, now: start),
            phases: [zero: .resumed(from: 5, notBefore: 0, isFetched: false)]
        ),
    ]
}
