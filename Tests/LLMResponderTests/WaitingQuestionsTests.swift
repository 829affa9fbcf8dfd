import Bytes
import Messages
import ServiceRuntime
import Flows
import MessageLogs
import TestSupport
import Testing
import Verification

@testable import LLMResponder

/// Questions that wait for their user's row, or for the database.
@Suite struct WaitingQuestionsTests {
    private func questionCount(_ fixture: RespondingFixture) async throws -> Int {
        try await fixture.records(of: Topic.questions.rawValue).count
    }

    @Test func aQuestionThatMustWaitHoldsUpNobodyAndWritesNothing() async throws {
        let fixture = try await RespondingFixture()
        try await fixture.write("ann", count: 1)
        // The same user, hence the same partition, and before the others.
        try await fixture.ask("late", "ann", knowing: 2)
        try await fixture.ask("soon", "ann", knowing: 1)
        try await fixture.whileRunning { running in
            try await fixture.answered("soon")
            try await running.parks(1)
            #expect(try await fixture.answer("late") == nil)
            let partition = try #require(try await fixture.records(of: Topic.questions.rawValue).first).source.partition
            #expect(try await fixture.committed(partition) == 0)
            try await fixture.write("ann", count: 2)
            try await fixture.answered("late")
            try await running.parks(0)
            #expect(try await fixture.committed(partition) == 2)
        }
        #expect(try await fixture.answeredIDs() == ["late", "soon"])
        #expect(try await fixture.answer("late")?.eventCount == 2)
        #expect(try await questionCount(fixture) == 2)
        await fixture.close()
    }

    @Test func aQuestionThatWaitsInVainExpires() async throws {
        let fixture = try await RespondingFixture()
        try await fixture.ask("vain", "ann", knowing: 5, milliseconds: 1_500)
        try await fixture.ask("far", "ann", knowing: UInt64(Int64.max), milliseconds: 200_000_000_000)
        try await fixture.whileRunning { running in
            try await fixture.answered("vain")
            try await running.parks(1)
        }
        #expect(try await fixture.answer("vain")?.status == .expired)
        #expect(try await fixture.answers().count == 1)
        await fixture.close()
    }

    /// Whoever comes next reads again from the first question that waits, and knows what is done with of what follows.
    @Test(arguments: TestedLog.available)
    func eachHasOneAnswerWhoeverGivesIt(kind: TestedLog) async throws {
        let fixture = try await RespondingFixture(kafka: kind == .kafka, partitions: 1)
        try await fixture.write("ann", count: 3)
        try await fixture.ask("first", "ann", knowing: 9)
        let record = OutgoingRecord(topic: Topic.questions.rawValue, partition: 0, key: [65], value: [0xff])
        try await fixture.log.append([record])
        let quick = (10..<40).map { "q\($0)" }
        for id in quick { try await fixture.ask(id, "ann") }
        // Copies of one that is answered, and of one that waits.
        for id in ["q10", "first"] { try await fixture.ask(id, "ann", knowing: id == "first" ? 9 : 0) }
        try await fixture.ask("last", "ann", knowing: 6)
        let all = (quick + ["first", "last"]).sorted()
        try await fixture.whileRunning { running in
            for id in quick { try await fixture.answered(id) }
            try await running.parks(2)
        }
        #expect(try await fixture.committed(0) == 0)
        try await fixture.whileRunning { running in
            try await running.parks(2)
            try await fixture.ask("then", "ann")
            try await fixture.answered("then")
            // Beside it a second member, which takes nothing, or all of it when the first one leaves.
            try await fixture.whileRunning(member: "llm-responder-heir") { _ in
                try await fixture.write("ann", count: 6)
                try await fixture.answered("last")
            }
        }
        #expect(try await fixture.answer("first") == nil)
        try await fixture.whileRunning { running in
            try await running.parks(1)
            try await fixture.write("ann", count: 9)
            try await fixture.answered("first")
            try await running.parks(0)
            // Those behind it may be read again only now.
            try await poll("everything is committed") {
                try await fixture.log.lag(group: ConsumerGroup.llmResponder, topic: Topic.questions.rawValue) == 0
            }
        }
        #expect(try await fixture.answeredIDs() == (all + ["then"]).sorted())
        #expect(try await fixture.records(of: Topic.questions.rejected).count == 1)
        await fixture.close()
    }

    /// Where answers lie by their users, all of them are looked at.
    @Test func answersAreFoundInOtherPartitions() async throws {
        let fixture = try await RespondingFixture(partitions: 2, answerPartitions: 3)
        let users = (0..<6).map { "user \($0)" }
        for user in users { try await fixture.write(user, count: 3) }
        for partition: Int32 in 0..<2 { try await fixture.ask("w\(partition)", "ann", knowing: 9, in: partition) }
        for user in users { try await fixture.ask("of \(user)", user) }
        for _ in 0..<2 {
            try await fixture.whileRunning { running in
                for user in users { try await fixture.answered("of \(user)") }
                try await running.parks(2)
            }
        }
        #expect(try await fixture.answeredIDs() == users.map { "of \($0)" })
        await fixture.close()
    }

    @Test func aQuestionInAPartitionThatIsNotItsUsersIsAnsweredOnce() async throws {
        let fixture = try await RespondingFixture(partitions: 2)
        try await fixture.write("ann", count: 3)
        for partition: Int32 in 0..<2 {
            try await fixture.ask("w\(partition)", "ann", knowing: 9, in: partition)
            try await fixture.ask("a\(partition)", "ann", in: partition)
        }
        for _ in 0..<2 {
            try await fixture.whileRunning { running in
                try await fixture.answered("a0", "a1")
                try await running.parks(2)
            }
        }
        #expect(try await fixture.answeredIDs() == ["a0", "a1"])
        await fixture.close()
    }

    @Test func twoRespondersShareWaitingQuestions() async throws {
        let fixture = try await RespondingFixture(partitions: 4)
        let users = (0..<12).map { "user \($0)" }
        for user in users { try await fixture.ask(user, user, knowing: 2) }
        try await fixture.whileRunning { first in
            try await first.parks(12)
            try await fixture.whileRunning(member: "llm-responder-2") { second in
                try await poll("they share them") {
                    let name = "userllm_llm_responder_questions_parked"
                    return first.metric(name) + second.metric(name) == 12 && second.metric(name) > 0
                }
                for user in users { try await fixture.write(user, count: 2) }
                for user in users { try await fixture.answered(user) }
            }
        }
        #expect(try await fixture.answeredIDs() == users.sorted())
        #expect(try await questionCount(fixture) == 12)
        await fixture.close()
    }

    // MARK: - Bounds

    @Test func oneMoreThanMayWaitFailsAtOnce() async throws {
        let fixture = try await RespondingFixture(partitions: 1)
        try await fixture.write("ann", count: 1)
        for id in ["w1", "w2", "w3"] { try await fixture.ask(id, "ann", knowing: 2) }
        try await fixture.ask("fresh", "ann")
        try await fixture.whileRunning(parking: ParkingLimit(count: 2, byteCount: 1 << 20)) { running in
            try await fixture.answered("w3", "fresh")
            let refused = try #require(try await fixture.answer("w3"))
            #expect(refused.status == .failed && refused.reason.contains("waiting-questions"))
            try await running.parks(2)
            try await fixture.write("ann", count: 2)
            try await fixture.answered("w1", "w2")
        }
        #expect(try await fixture.answeredIDs() == ["fresh", "w1", "w2", "w3"])
        await fixture.close()
    }

    @Test func memoryIsBoundedToo() async throws {
        let fixture = try await RespondingFixture(partitions: 1)
        for id in ["w1", "w2"] { try await fixture.ask(id, "ann", knowing: 2) }
        try await fixture.whileRunning(parking: ParkingLimit(count: 10, byteCount: 900)) { running in
            try await fixture.answered("w2")
            try await running.parks(1)
        }
        #expect(try await fixture.answer("w2")?.status == .failed)
        await fixture.close()
    }

    @Test func oneThatHoldsTheOffsetTooFarBehindIsGivenUp() async throws {
        let fixture = try await RespondingFixture(partitions: 1)
        try await fixture.write("ann", count: 1)
        try await fixture.ask("old", "ann", knowing: 2)
        for number in 0..<20 { try await fixture.ask("q\(number)", "ann") }
        try await fixture.whileRunning(window: 10) { running in
            try await fixture.answered("old", "q19")
            try await running.parks(0)
        }
        let old = try #require(try await fixture.answer("old"))
        #expect(old.status == .failed && old.reason.contains("ask again"))
        #expect(try await fixture.committed(0) == 21)
        await fixture.close()
    }

    // MARK: - The database

    @Test func questionsWaitWhileTheDatabaseIsAway() async throws {
        let cluster = try PrivatePostgres.own()
        let fixture = try await RespondingFixture(cluster: cluster, partitions: 1)
        try await fixture.write("ann", count: 1)
        try await fixture.whileRunning(parking: ParkingLimit(count: 2, byteCount: 1 << 20)) { running in
            try await fixture.ask("before", "ann")
            try await fixture.answered("before")
            try await cluster.restart {
                try await fixture.ask("short", "ann", milliseconds: 1_000)
                // More than may wait: the fourth is not read before one of the others has ended.
                for id in ["a", "b", "c"] { try await fixture.ask(id, "ann") }
                try await fixture.answered("short")
                try await running.parks(2)
                #expect(running.health.reasons.map(\.condition).contains("database"))
                #expect(try await fixture.answers().count == 2)
            }
            try await fixture.answered("a", "b", "c")
            #expect(running.health.isReady)
        }
        let answers = try await fixture.answers()
        #expect(answers.map(\.questionID.text).sorted() == ["a", "b", "before", "c", "short"])
        for answer in answers { #expect(answer.status == (answer.questionID == "short" ? .expired : .answered)) }
        await fixture.close()
    }
}
