import Testing
import Verification

@Suite struct FaultsScheduleTests {
    private func options(kafka: Bool, seconds: Double = 3_600) -> FaultsSchedule.Options {
        var options = FaultsSchedule.Options(hasBroker: kafka, seconds: seconds)
        options.canFillDisk = true
        return options
    }

    @Test func aSeedDrawsTheSameFaultsAgainAndAnotherSeedOthers() {
        let first = FaultsSchedule(seed: 7, options(kafka: true)).faults
        #expect(first == FaultsSchedule(seed: 7, options(kafka: true)).faults)
        #expect(first != FaultsSchedule(seed: 8, options(kafka: true)).faults)
    }

    @Test(arguments: [false, true])
    func anHourHasEveryKindInOrderOfTime(kafka: Bool) {
        let faults = FaultsSchedule(seed: 1, options(kafka: kafka)).faults
        let broker: Set<Fault.Kind> = [.killBroker, .stopBroker]
        let expected = kafka ? Set(Fault.Kind.allCases) : Set(Fault.Kind.allCases).subtracting(broker)
        #expect(Set(faults.map(\.kind)) == expected)
        #expect(faults.map(\.at) == faults.map(\.at).sorted())
        #expect(faults.count > 600)
        // Several at once.
        #expect(zip(faults, faults.dropFirst()).contains { $1.at - $0.at < 0.3 })
    }

    /// More of them would rightly stop the workers: 1 % of a minute's records, or 20.
    @Test func recordsThatAreNoEventsStayFew() {
        let faults = FaultsSchedule(seed: 1, options(kafka: false)).faults.filter { $0.kind == .poison }
        let minutes = Dictionary(grouping: faults) { Int($0.at / 60) }
        #expect(minutes.count > 30)
        #expect(minutes.values.allSatisfy { $0.reduce(0) { $0 + $1.instance } <= 8 })
    }

    @Test func aShortRunHasNoTimeForSessionsOfTheUsualLength() {
        let faults = FaultsSchedule(seed: 1, options(kafka: true, seconds: 110)).faults
        #expect(!faults.isEmpty)
        #expect(faults.allSatisfy { $0.kind != .stop && ($0.kind == .failpoint || $0.duration < 10) })
    }
}
