import MessageLogs

@testable import KafkaLogs

/// How the flow lets records come.
extension GroupStateTests {
    static let pausedStarts: [Transition] = [
        Transition(
            name: "a paused partition may lie before what is there",
            because: "a fetch of it would be told what is gone, and the flow may know better where to start",
            pauses: true,
            given: [.rebalanced(.assign([zero]))],
            event: .startsRead([zero: StartingOffset(committed: 3, low: 6)]),
            actions: [.tellAssigned([zero])],
            phases: [zero: .paused(from: 3, isFetched: false)]
        ),
        Transition(
            name: "the answer does not wait for the start",
            because: "paused ones do not hold the group up",
            pauses: true,
            given: assigned(zero, 5),
            event: .nextRequested,
            actions: [.change(.add([:], again: [], all: [:]))],
            phases: [zero: .paused(from: 5, isFetched: false)]
        ),
        Transition(
            name: "a start before the answer goes with it",
            because: "one call answers the group and fetches",
            pauses: true,
            given: assigned(zero, 5),
            event: .started([zero: 9]),
            actions: [.noteAdvisory([zero: 9])],
            phases: [zero: .assigned(from: 9, isFetched: false)]
        ),
        Transition(
            name: "a start after it fetches at once",
            because: "a reader that keeps its own offsets may need its database first",
            pauses: true,
            given: assigned(zero, 5) + [.nextRequested],
            event: .started([:]),
            actions: [.noteAdvisory([zero: 5]), .change(.add([zero: 5], again: [], all: [zero: 5]))],
            phases: [zero: .fetching(position: 5)]
        ),
        Transition(
            name: "a start before the first record is an error",
            because: "records between are gone, which must never pass silently (quix-streams#1114)",
            pauses: true,
            given: assigned(zero, 5),
            event: .started([zero: 4]),
            actions: [.fail(.offsetGone(zero, committed: 4, low: 5))],
            phases: [zero: .paused(from: 5, isFetched: false)]
        ),
        Transition(
            name: "a start is also for what was resumed",
            because: "the reader's own offsets say more than what it was resumed with",
            pauses: true,
            given: assigned(zero, 5) + [.nextRequested, .resumed([zero: 0])],
            event: .started([zero: 6]),
            actions: [.noteAdvisory([zero: 6]), .change(.add([zero: 6], again: [], all: [zero: 6]))],
            phases: [zero: .fetching(position: 6)]
        ),
        Transition(
            name: "a start without paused partitions does nothing",
            because: "there is nothing to answer",
            given: fetching(zero, 5),
            event: .started([zero: 9]),
            phases: [zero: .fetching(position: 5)]
        ),
    ]

    static let resumptions: [Transition] = [
        Transition(
            name: "a resumed partition waits for its turn",
            because: "any task may resume, and librdkafka's calls are made by this one only",
            pauses: true,
            given: assigned(zero, 5) + [.nextRequested],
            event: .resumed([zero: 2, one: 2]),
            phases: [zero: .resumed(from: 5, notBefore: 2, isFetched: false)]
        ),
        Transition(
            name: "it starts from what is committed",
            because: "nothing shows more than that",
            pauses: true,
            given: assigned(zero, 5) + [.nextRequested, .resumed([zero: 2])],
            event: idle,
            actions: [.change(.add([zero: 5], again: [], all: [zero: 5]))],
            phases: [zero: .fetching(position: 5)]
        ),
        Transition(
            name: "outputs that show more are believed once the end is known",
            because: "a coordinator of Kafka 4.3.1 that was led anew while it loaded its offsets tells old ones",
            pauses: true,
            given: assigned(zero, 5) + [.nextRequested, .resumed([zero: 8])],
            event: idle,
            actions: [.readEnds([zero])],
            phases: [zero: .resumed(from: 5, notBefore: 8, isFetched: false)]
        ),
        Transition(
            name: "the end is asked for again when there was no answer",
            because: "it was lost once when the broker was away at that moment",
            pauses: true,
            given: assigned(zero, 5) + [.nextRequested, .resumed([zero: 8]), idle],
            event: idle,
            actions: [.readEnds([zero])],
            phases: [zero: .resumed(from: 5, notBefore: 8, isFetched: false)]
        ),
        Transition(
            name: "it then starts there",
            because: "its outputs are there, so its offset was committed",
            pauses: true,
            given: assigned(zero, 5) + [.nextRequested, .resumed([zero: 8]), idle, .endsRead([zero: 8])],
            event: idle,
            actions: [.change(.add([zero: 8], again: [], all: [zero: 8]))],
            phases: [zero: .fetching(position: 8)]
        ),
        Transition(
            name: "an offset past the end is not believed",
            because: "the outputs are those of a topic of the same name that was deleted",
            pauses: true,
            given: assigned(zero, 5) + [.nextRequested, .resumed([zero: 8]), idle],
            event: .endsRead([zero: 7]),
            phases: [zero: .resumed(from: 5, notBefore: 5, isFetched: false)]
        ),
        Transition(
            name: "an end of one that is not resumed is passed over",
            because: "it was revoked meanwhile",
            given: fetching(zero, 5),
            event: .endsRead([zero: 7]),
            phases: [zero: .fetching(position: 5)]
        ),
        Transition(
            name: "what flows already is not resumed",
            because: "librdkafka 2.0.2 rewinds what is resumed and was not paused (librdkafka#4636); here it does "
                + "nothing",
            given: fetching(zero, 5),
            event: .resumed([zero: 9]),
            phases: [zero: .fetching(position: 5)]
        ),
        Transition(
            name: "each assignment pauses anew",
            because: "what was resumed belonged to the assignment before, and so did the state",
            pauses: true,
            given: assigned(zero, 5) + [
                .nextRequested, .resumed([zero: 2]), .rebalanced(.revoke([zero])), idle, .rebalanced(.assign([zero])),
            ],
            event: .startsRead([zero: at(6)]),
            actions: [.tellAssigned([zero])],
            phases: [zero: .paused(from: 6, isFetched: false)]
        ),
        Transition(
            name: "a dropped partition is paused anew, and stepped back when it starts",
            because: "its state is restored again, and librdkafka still fetches it",
            pauses: true,
            given: assigned(zero, 5) + [
                .nextRequested, .resumed([zero: 2]), idle, .commitFailed([zero]), idle, .startsRead([zero: at(3)]),
                .nextRequested, .resumed([zero: 0]),
            ],
            event: idle,
            actions: [.change(.add([zero: 3], again: [zero], all: [zero: 3]))],
            phases: [zero: .fetching(position: 3)]
        ),
        Transition(
            name: "an end that nobody asked for says nothing",
            because: "the committed offset is past what the outputs show",
            pauses: true,
            given: assigned(zero, 5) + [.nextRequested, .resumed([zero: 2])],
            event: .endsRead([zero: 9]),
            phases: [zero: .resumed(from: 5, notBefore: 5, isFetched: false)]
        ),
    ]

    static let withoutGroup: [Transition] = [
        Transition(
            name: "a reader without a group fetches at once",
            because: "nobody is waited for",
            event: .followed([zero: 4, one: 0]),
            actions: [.change(.add([zero: 4, one: 0], again: [], all: [zero: 4, one: 0]))],
            phases: [zero: .fetching(position: 4), one: .fetching(position: 0)]
        ),
        Transition(
            name: "and is told once",
            because: "the flow hears of its partitions before their records",
            given: [.followed([zero: 4, one: 0])],
            event: idle,
            actions: [.tellAssigned([zero, one])],
            phases: [zero: .fetching(position: 4), one: .fetching(position: 0)]
        ),
        Transition(
            name: "then only records come",
            because: "there are no rebalances",
            given: [.followed([zero: 4]), idle],
            event: idle,
            phases: [zero: .fetching(position: 4)]
        ),
    ]
}
