import Datasets
import Foundation
import Identifiers
import Messages
import Postgres
import ServiceRuntime
import StreamProcessing
import Streams
import TestSupport
import Testing
import UserModels
import Verification

@testable import LLMResponder

/// The flow on a real log, with rows in a real database.
@Suite struct RespondingFlowTests {
    private struct Silent: LogHandler {
        func log(_ entry: LogEntry) {}
    }

    private struct Fixture {
        let log: PostgresLog
        let table: EmbeddingTable
        let bundle: ModelBundle
        let folder: String

        init() async throws {
            folder = try LocalSystem.makeFolder()
            try SmallBundle.write(to: "\(folder)/bundle", catalogue: SyntheticWorld().catalogue)
            bundle = try ModelBundle.load("\(folder)/bundle")
            let address = try PrivatePostgres.shared().makeDatabase()
            log = try await PostgresLog(address: address)
            try await log.createTopics(TopicSpecification.system(partitionCount: 2))
            table = try await EmbeddingTable(database: address)
            try await table.migrate()
        }

        /// Writes a user's row; without a version, the bundle's.
        func write(_ user: UserID, count: UInt64, version: String? = nil) async throws {
            let timeline = (0..<5).map { TimelineEvent(item: "f\($0 + 1)", rating: 4, time: Int64($0) * 60_000) }
            let encoded = try bundle.makeEncodingEngine(threads: 1).encode([timeline])[0]
            let row = UserEmbedding(
                user: user,
                modelVersion: version ?? bundle.version,
                generation: 0,
                eventCount: count,
                sourcePartition: 0,
                sourceOffset: 0,
                eventTime: 0,
                rows: bundle.contextRows,
                columns: bundle.contextColumns,
                context: encoded.context,
                pooled: encoded.pooled
            )
            try await table.upsert([row], deletions: [], offsets: [:], group: "test", owner: "test")
        }

        func ask(_ id: QuestionID, _ user: UserID, knowing count: UInt64 = 0, milliseconds: Int64 = 60_000) async throws
        {
            let now = WallClock.milliseconds
            let question = Question(
                id: id,
                user: user,
                text: "What will the user watch next?",
                form: .title,
                itemCount: 3,
                minimumEventCount: count,
                askedAt: now,
                deadline: now + milliseconds
            )
            try await log.append([
                OutgoingRecord(topic: Topic.questions.rawValue, key: Array(user.utf8), value: try question.encoded())
            ])
        }

        func answers() async throws -> [Answer] {
            try await records(of: Topic.answers.rawValue).compactMap(\.value)
                .map { try Answer(decoding: $0, contentType: nil) }
        }

        func answer(_ id: QuestionID) async throws -> Answer? { try await answers().first { $0.questionID == id } }

        func records(of topic: String) async throws -> [Record] {
            let collector = Collector()
            for partition in 0..<(try await log.partitionCount(of: topic) ?? 0) {
                try await log.replay(TopicPartition(topic, partition)) { await collector.take($0) }
            }
            return await collector.records
        }

        /// Sets the group's offsets back to behind the first question of each partition.
        func rewindQuestions() async throws {
            var first: [TopicPartition: Record] = [:]
            for record in try await records(of: Topic.questions.rawValue) where first[record.source] == nil {
                first[record.source] = record
            }
            let subscription = try await log.subscribe(
                SubscriptionOptions(
                    topics: [Topic.questions.rawValue],
                    membership: .group(ConsumerGroup.llmResponder),
                    memberName: "operator"
                )
            )
            while let event = try await subscription.next() {
                guard case .assigned(let partitions) = event else { continue }
                try await subscription.commit(Batch(records: partitions.compactMap { first[$0] }), producing: [])
                break
            }
            await subscription.close()
        }

        /// Runs a responder while `body` runs.
        func whileRunning(_ body: () async throws -> Void) async throws {
            let subscription = try await log.subscribe(
                SubscriptionOptions(
                    topics: [Topic.questions.rawValue],
                    membership: .group(ConsumerGroup.llmResponder),
                    maximumBatchCount: 4,
                    linger: .zero,
                    memberName: "llm-responder-test",
                    holdsNewPartitions: true
                )
            )
            let health = Health()
            let logger = Logger(label: "test", handler: Silent())
            let tokens = TokenPublisher(log: log, logger: logger)
            let answering = Answering(
                table: table,
                responder: try Responder(bundle: bundle),
                tokens: tokens,
                modelVersion: bundle.version,
                otherVersions: try await table.modelVersions().map(\.version).filter { $0 != bundle.version },
                health: health.condition("database", waitingFor: "start")
            )
            let flow = RespondingFlow(
                log,
                subscription,
                answering,
                metrics: LLMResponderMetrics(MetricsRegistry()),
                health: health.condition("partitions", waitingFor: "start"),
                logger: logger
            )
            let shutdown = Shutdown()
            async let running: Void = flow.run(until: shutdown)
            async let publishing: Void = tokens.run(until: shutdown)
            do {
                try await body()
            } catch {
                shutdown.request()
                try await running
                try await publishing
                throw error
            }
            shutdown.request()
            try await running
            try await publishing
        }

        func close() async {
            await table.close()
            await log.close()
            try? FileManager.default.removeItem(atPath: folder)
        }
    }

    private actor Collector {
        private(set) var records: [Record] = []
        func take(_ some: [Record]) { records += some }
    }

    @Test func aQuestionThatIsInTheLogTwiceIsAnsweredOnce() async throws {
        let fixture = try await Fixture()
        try await fixture.write("u1", count: 5)
        // Beside each other, and after others that fill more than a batch.
        for id: QuestionID in ["a", "a", "b", "c", "d", "e", "f", "a", "g"] { try await fixture.ask(id, "u1") }
        try await fixture.whileRunning {
            try await poll("g is answered", within: .seconds(60)) { try await fixture.answer("g") != nil }
        }
        let ids = try await fixture.answers().map(\.questionID)
        #expect(ids == ["a", "b", "c", "d", "e", "f", "g"])
        // Nor by a responder that takes over.
        for id: QuestionID in ["b", "h"] { try await fixture.ask(id, "u1") }
        try await fixture.whileRunning {
            try await poll("h is answered", within: .seconds(60)) { try await fixture.answer("h") != nil }
        }
        #expect(try await fixture.answers().map(\.questionID) == ids + ["h"])
        await fixture.close()
    }

    @Test func questionsThatAreReadAgainAreAnsweredOnce() async throws {
        let fixture = try await Fixture()
        try await fixture.write("u1", count: 5)
        let ids = (0..<20).map { QuestionID("q\($0)") }
        for id in ids { try await fixture.ask(id, "u1") }
        try await fixture.whileRunning {
            try await poll("all are answered", within: .seconds(60)) { try await fixture.answers().count == 20 }
        }
        try await fixture.rewindQuestions()
        try await fixture.ask("last", "u1")
        try await fixture.whileRunning {
            try await poll("last is answered", within: .seconds(60)) { try await fixture.answer("last") != nil }
        }
        #expect(try await fixture.answers().map(\.questionID) == ids + ["last"])
        await fixture.close()
    }

    @Test func answersFromTheRowOfTheBundlesVersion() async throws {
        let fixture = try await Fixture()
        try await fixture.write("ann", count: 7)
        try await fixture.write("old", count: 3, version: "another")
        try await fixture.ask("q1", "ann")
        try await fixture.ask("q2", "nobody")
        try await fixture.ask("q3", "old")
        try await fixture.ask("q4", "ann", milliseconds: -1)
        try await fixture.whileRunning {
            try await poll("all questions are answered", within: .seconds(60)) {
                try await fixture.answers().count == 4
            }
            try await poll("the pieces of q1 are sent", within: .seconds(60)) {
                let tokens = try await fixture.records(of: Topic.answerTokens.rawValue).compactMap(\.value)
                    .map { try AnswerToken(decoding: $0, contentType: nil) }.filter { $0.questionID == "q1" }
                let text = tokens.sorted { $0.position < $1.position }.map(\.text).joined()
                return try await fixture.answer("q1")?.text == text
            }
        }
        let first = try #require(try await fixture.answer("q1"))
        #expect(first.status == .answered && first.eventCount == 7 && first.items.count == 3)
        #expect(first.modelVersion == fixture.bundle.version)
        #expect(first.computeMicroseconds >= first.firstTokenMicroseconds)
        let second = try #require(try await fixture.answer("q2"))
        #expect(second.status == .noHistory && !second.text.isEmpty)
        let third = try #require(try await fixture.answer("q3"))
        #expect(third.status == .failed && third.reason.contains("another"))
        let fourth = try #require(try await fixture.answer("q4"))
        #expect(fourth.status == .expired && fourth.text.isEmpty)
        await fixture.close()
    }

    @Test func aQuestionThatMustWaitHoldsUpNobody() async throws {
        let fixture = try await Fixture()
        try await fixture.write("ann", count: 1)
        // The same user, hence the same partition, and before the others.
        try await fixture.ask("late", "ann", knowing: 2)
        try await fixture.ask("soon", "ann", knowing: 1)
        try await fixture.whileRunning {
            try await poll("the second is answered", within: .seconds(60)) { try await fixture.answer("soon") != nil }
            #expect(try await fixture.answer("late") == nil)
            try await fixture.write("ann", count: 2)
            try await poll("the first is answered", within: .seconds(60)) { try await fixture.answer("late") != nil }
        }
        let answers = try await fixture.answers()
        #expect(answers.map(\.questionID).sorted() == ["late", "soon"])
        #expect(answers.first { $0.questionID == "late" }?.eventCount == 2)
        await fixture.close()
    }

    @Test func aQuestionThatWaitsInVainExpires() async throws {
        let fixture = try await Fixture()
        try await fixture.ask("vain", "ann", knowing: 5, milliseconds: 400)
        try await fixture.whileRunning {
            try await poll("it is answered", within: .seconds(60)) { try await fixture.answer("vain") != nil }
        }
        #expect(try await fixture.answer("vain")?.status == .expired)
        #expect(try await fixture.answers().count == 1)
        await fixture.close()
    }

    /// At such a temperature every token is as likely as another, the one of the NUL byte too, which no text may have.
    @Test func whatTheModelMayNotWriteEndsOneQuestionOnly() async throws {
        let fixture = try await Fixture()
        let now = WallClock.milliseconds
        let records = try (0..<60).map { seed in
            let question = Question(
                id: "q\(seed)",
                user: "ann",
                text: "What now?",
                form: .text,
                maximumTokens: 70,
                temperature: 100,
                seed: UInt64(seed),
                askedAt: now,
                deadline: now + 600_000
            )
            return OutgoingRecord(topic: Topic.questions.rawValue, key: [65], value: try question.encoded())
        }
        try await fixture.log.append(records)
        try await fixture.whileRunning {
            try await poll("all questions are answered", within: .seconds(60)) {
                try await fixture.answers().count == 60
            }
        }
        let answers = try await fixture.answers()
        let failed = answers.filter { $0.status == .failed }
        #expect(!failed.isEmpty && failed.allSatisfy { $0.reason.contains("NUL") && $0.text.isEmpty })
        #expect(answers.contains { $0.status == .noHistory && !$0.text.isEmpty })
        await fixture.close()
    }

    @Test func whatIsNoQuestionIsRejected() async throws {
        let fixture = try await Fixture()
        try await fixture.log.append([
            OutgoingRecord(topic: Topic.questions.rawValue, key: [65], value: [0xff]),
            OutgoingRecord(topic: Topic.questions.rawValue, key: [65], value: nil),
        ])
        try await fixture.ask("good", "A")
        try await fixture.whileRunning {
            try await poll("the question is answered", within: .seconds(60)) {
                try await fixture.answer("good") != nil
            }
        }
        let rejected = try await fixture.records(of: Topic.questions.rejected)
        #expect(rejected.map(\.value) == [[0xff], nil])
        await fixture.close()
    }
}
