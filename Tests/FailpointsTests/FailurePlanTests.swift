import Synchronization
import Testing

@testable import Failpoints

@Suite struct FailurePlanTests {
    @Test func readsFailpointsWithActionsAndCounts() throws {
        let text = "kafka.after-offsets:kill@17,writer.before-commit:stop-in=2.5,ingestor.after-append:sleep=300@2"
        #expect(
            try FailurePlan.steps(in: text) == [
                .init(failpoint: "kafka.after-offsets", action: .kill, count: 17),
                .init(failpoint: "writer.before-commit", action: .stopLater(milliseconds: 2.5), count: 1),
                .init(failpoint: "ingestor.after-append", action: .sleep(milliseconds: 300), count: 2),
            ]
        )
        #expect(try FailurePlan.steps(in: "") == [])
    }

    @Test(
        arguments: [
            "kafka:kill", "kafka.after-offsets", "kafka.after-offsets:explode",
            "kafka.after-offsets:kill@0",
            "kafka.after-offsets:kill@x", "kafka.after-offsets:sleep", "kafka.after-offsets:sleep=-1", "kill",
        ]
    )
    func refusesWhatItDoesNotUnderstand(text: String) {
        let error = #expect(throws: FailurePlan.Malformed.self) { try FailurePlan.steps(in: text) }
        #expect(error?.description.contains("\"\(text)\"") == true)
        #expect(error?.description.contains("USERLLM_FAILPOINT") == true)
    }

    @Test func readsProtectionsAndRefusesWhatIsNone() throws {
        #expect(try FailurePlan.protections(in: "row-guard,replay-guard") == ["row-guard", "replay-guard"])
        let error = #expect(throws: FailurePlan.Malformed.self) { try FailurePlan.protections(in: "row guard") }
        #expect(error?.description.contains("row-guard") == true)
    }

    @Test func aProtectionIsOnUnlessTheEnvironmentSaysOtherwise() {
        #expect(!Protection("row-guard").isOff)
    }

    @Test func actsTheCountedTimeAndOnlyThen() {
        let performed = Mutex<[FailurePlan.Action]>([])
        let steps: [FailurePlan.Step] = [
            .init(failpoint: "writer.after-commit", action: .stop, count: 3),
            .init(failpoint: "writer.before-commit", action: .kill, count: 1),
        ]
        let plan = FailurePlan(steps: steps) { action in performed.withLock { $0.append(action) } }
        for _ in 0..<2 { plan.reached("writer.after-commit") }
        #expect(performed.withLock { $0 } == [])
        plan.reached("writer.after-commit")
        #expect(performed.withLock { $0 } == [.stop])
        plan.reached("writer.after-commit")
        plan.reached("writer.before-commit")
        #expect(performed.withLock { $0 } == [.stop, .kill])
    }
}
