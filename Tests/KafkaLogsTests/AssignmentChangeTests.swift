import MessageLogs
import Testing

@testable import KafkaLogs

@Suite struct AssignmentChangeTests {
    private static let zero = TopicPartition("events", 0)
    private static let one = TopicPartition("events", 1)
    private static let step = AssignmentChange.add([zero: 3], again: [zero], all: [zero: 3, one: 7])
    private static let first = AssignmentChange.add([one: 7], again: [], all: [zero: 3, one: 7])
    private static let nothing = AssignmentChange.add([:], again: [], all: [:])

    struct Case: Sendable {
        let change: AssignmentChange
        let rebalanceProtocol: RebalanceProtocol
        let calls: [AssignmentCall]
    }

    @Test(arguments: cases)
    func becomesTheCallsOfTheProtocol(_ row: Case) {
        #expect(row.change.calls(under: row.rebalanceProtocol) == row.calls)
    }

    private static let cases: [Case] = [
        // Partitions that stay are not touched.
        Case(change: first, rebalanceProtocol: .cooperative, calls: [.incrementalAssign([one: 7])]),
        Case(
            change: step,
            rebalanceProtocol: .cooperative,
            calls: [.incrementalUnassign([zero]), .incrementalAssign([zero: 3])]
        ),
        // The answer to an assignment or revocation of nothing.
        Case(change: nothing, rebalanceProtocol: .cooperative, calls: [.incrementalAssign([:])]),
        Case(change: .remove([]), rebalanceProtocol: .cooperative, calls: [.incrementalUnassign([])]),
        Case(change: .remove([zero]), rebalanceProtocol: .cooperative, calls: [.incrementalUnassign([zero])]),
        // The eager protocol knows no increments.
        Case(change: first, rebalanceProtocol: .eager, calls: [.assign([zero: 3, one: 7])]),
        Case(change: step, rebalanceProtocol: .eager, calls: [.assign([zero: 3, one: 7])]),
        Case(change: .remove([zero]), rebalanceProtocol: .eager, calls: [.unassign]),
        // Not NULL, which would leave the assignment unanswered and the member out of the next rebalance.
        Case(change: nothing, rebalanceProtocol: .eager, calls: [.assign([:])]),
        // While a membership ends there is no protocol (Blizzard/node-rdkafka#1144).
        Case(change: .remove([zero]), rebalanceProtocol: .none, calls: [.unassign]),
        // A reader without a group.
        Case(change: first, rebalanceProtocol: .none, calls: [.assign([zero: 3, one: 7])]),
    ]
}
