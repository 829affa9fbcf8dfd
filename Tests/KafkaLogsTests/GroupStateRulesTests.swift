import MessageLogs
import Testing

@testable import KafkaLogs

private let zero = TopicPartition("events", 0)
private let one = TopicPartition("events", 1)
private let start = ContinuousClock.now

/// What holds for a member's place in its group whatever happens, and in whatever order.
@Suite struct GroupStateRulesTests {
    private static let events: [GroupState.Event] = [
        .rebalanced(.assign([zero])), .rebalanced(.assign([zero, one])), .rebalanced(.assign([])),
        .rebalanced(.revoke([zero])), .rebalanced(.revoke([zero, one])), .nextRequested,
        .idle(isLost: false, now: start), .idle(isLost: true, now: start),
        .startsRead([zero: StartingOffset(committed: 5, low: 0)]),
        .startsRead([zero: StartingOffset(committed: nil, low: 1), one: StartingOffset(committed: 2, low: 4)]),
        .endsRead([zero: 7]), .started([zero: 9]), .resumed([zero: 8, one: 0]), .commitFailed([zero]),
        .commitFailed([zero, one]), .rebalanceExpected(until: start + .seconds(10)), .emptyAssignmentAwaited,
        .followed([zero: 4]),
    ]

    /// Every event is defined in every phase, and what comes out is never more than librdkafka and the flow take.
    @Test(arguments: [false, true])
    func anyThreeEventsKeepTheRules(pauses: Bool) {
        var checked: [String: Int] = [:]
        func visit(_ world: World, depth: Int) {
            for event in Self.events {
                if let phase = world.group.phase(of: zero) { checked[Self.name(of: phase), default: 0] += 1 }
                var next = world
                next.take(event)
                guard next.problem == nil else {
                    Issue.record("\(next.problem ?? "") after \(next.history)")
                    return
                }
                if depth > 1 { visit(next, depth: depth - 1) }
            }
        }
        visit(World(pauses: pauses), depth: 3)
        // Deeper from the states that need more to be reached.
        for path in Self.paths {
            var world = World(pauses: pauses)
            for event in path { world.take(event) }
            visit(world, depth: 3)
        }
        let others = pauses ? ["paused", "resumed"] : ["assigned"]
        for phase in others + ["fetching", "refused", "dropped"] {
            #expect(checked[phase] ?? 0 >= Self.events.count, "\(phase) in \(checked)")
        }
    }

    @Test(arguments: [1, 2, 3, 4] as [UInt64], [false, true])
    func longHistoriesKeepThemToo(seed: UInt64, pauses: Bool) {
        var random = SplitMix(state: seed)
        var world = World(pauses: pauses)
        for _ in 0..<1_000 {
            world.take(Self.events[Int(random.next() % UInt64(Self.events.count))])
            if world.problem != nil { break }
        }
        #expect(world.problem == nil, "\(world.problem ?? "") after \(world.history.suffix(12))")
    }

    /// Records come once and in order, and only while the partition delivers.
    @Test func acceptsEachRecordOnce() {
        var group = GroupState(pausesNewPartitions: false)
        for event in Self.paths[0] { _ = group.handle(event) }
        #expect(group.phase(of: zero) == .fetching(position: 5))
        // What was fetched before a step back may still be on its way.
        let offsets: [(Int64, Bool)] = [
            (3, false), (5, true), (5, false), (6, true), (9, true), (8, false), (10, true),
        ]
        for (offset, isNew) in offsets { #expect(group.accept(offset, of: zero) == isNew, "\(offset)") }
        #expect(group.accept(0, of: one) == false)
        _ = group.handle(.commitFailed([zero]))
        #expect(group.accept(11, of: zero) == false)
        #expect(group.owns(zero) && !group.mayCommit(zero) && !group.isSettled)
        _ = group.handle(.idle(isLost: false, now: start))
        #expect(!group.owns(zero) && !group.mayCommit(zero) && group.owned.isEmpty && !group.isSettled)
    }

    /// A batch is only taken ahead while no other event is due.
    @Test func isSettledWhenOnlyRecordsAreDue() {
        var group = GroupState(pausesNewPartitions: false)
        #expect(group.isSettled)
        var settled: [Bool] = []
        for event in Self.paths[0] + [.rebalanced(.revoke([zero])), .idle(isLost: false, now: start)] {
            _ = group.handle(event)
            settled.append(group.isSettled)
        }
        #expect(settled == [false, false, false, true, false, true])
        _ = group.handle(.followed([one: 0]))
        #expect(!group.isSettled)
    }

    /// To `fetching`, and from there to `dropped`.
    private static let paths: [[GroupState.Event]] = [
        [
            .rebalanced(.assign([zero])), .idle(isLost: false, now: start),
            .startsRead([zero: StartingOffset(committed: 5, low: 0)]), .nextRequested,
        ],
        [
            .rebalanced(.assign([zero])), .startsRead([zero: StartingOffset(committed: 5, low: 0)]), .nextRequested,
            .started([:]), .commitFailed([zero]), .idle(isLost: false, now: start),
        ],
        [
            .rebalanced(.assign([zero, one])),
            .startsRead([zero: StartingOffset(committed: 5, low: 0), one: StartingOffset(committed: 0, low: 0)]),
            .nextRequested, .resumed([zero: 0, one: 0]), .idle(isLost: false, now: start),
        ],
    ]

    private static func name(of phase: Phase) -> String {
        switch phase {
        case .assigned: "assigned"
        case .paused: "paused"
        case .resumed: "resumed"
        case .fetching: "fetching"
        case .refused: "refused"
        case .dropped: "dropped"
        }
    }

    private struct SplitMix: RandomNumberGenerator {
        var state: UInt64

        mutating func next() -> UInt64 {
            state &+= 0x9E37_79B9_7F4A_7C15
            var mixed = (state ^ state >> 30) &* 0xBF58_476D_1CE4_E5B9
            mixed = (mixed ^ mixed >> 27) &* 0x94D0_49BB_1331_11EB
            return mixed ^ mixed >> 31
        }
    }
}

/// A group's state between a librdkafka and a flow that take each other at their word.
private struct World {
    var group: GroupState
    var history: [GroupState.Event] = []
    var problem: String?
    /// What librdkafka fetches.
    private var assignment: Set<TopicPartition> = []
    /// What the flow takes for its own.
    private var owned: Set<TopicPartition> = []

    init(pauses: Bool) {
        group = GroupState(pausesNewPartitions: pauses)
    }

    mutating func take(_ event: GroupState.Event) {
        history.append(event)
        if case .followed(let offsets) = event { owned.formUnion(offsets.keys) }
        for action in group.handle(event) { perform(action) }
        for partition in [zero, one] {
            let phase = group.phase(of: partition)
            if (phase?.isFetched ?? false) != assignment.contains(partition) {
                problem = "\(partition) is \(String(describing: phase)), and librdkafka fetches \(assignment)"
            }
            if let position = phase?.position {
                var copy = group
                if copy.accept(position - 1, of: partition) { problem = "a record of \(partition) comes twice" }
            }
        }
        if owned != group.owned { problem = "the flow owns \(owned), the state says \(group.owned)" }
    }

    private mutating func perform(_ action: GroupState.Action) {
        switch action {
        case .change(let change):
            for call in change.calls(under: .cooperative) { make(call) }
        case .tellAssigned(let partitions):
            owned.formUnion(partitions)
        case .tellRevoked(let partitions, _):
            if !owned.isSuperset(of: partitions) { problem = "\(partitions) are revoked of \(owned)" }
            owned.subtract(partitions)
        case .readStarts(let partitions), .readEnds(let partitions):
            if partitions.isEmpty { problem = "a question for nothing" }
        case .awaitEmptyAssignment, .noteAdvisory, .commitAdvisory, .discardRecords, .fail: break
        }
    }

    private mutating func make(_ call: AssignmentCall) {
        switch call {
        case .incrementalAssign(let offsets):
            if !assignment.isDisjoint(with: offsets.keys) { problem = "_CONFLICT: \(offsets.keys) in \(assignment)" }
            assignment.formUnion(offsets.keys)
        case .incrementalUnassign(let partitions):
            if !assignment.isSuperset(of: partitions) { problem = "_INVALID_ARG: \(partitions) not in \(assignment)" }
            assignment.subtract(partitions)
        case .assign, .unassign:
            problem = "a call of the eager protocol"
        }
    }
}
