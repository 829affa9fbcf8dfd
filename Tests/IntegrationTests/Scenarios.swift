import Datasets
import Foundation
import HTTPClient
import Bytes
import Catalogues
import LogAddresses
import Messages
import PostgresClient
import EmbeddingStore
import Flows
import MessageLogs
import ServiceRuntime
import SystemClient
import Testing
import UserModels
import Verification

/// What is asked of the whole system, whichever log it runs over.
enum Scenarios {
    private static let http = HTTPClient()

    /// A user's id that no other test has.
    private static func freshUser(_ name: String) -> UserID { "\(name)-\(UUID().uuidString.prefix(8).lowercased())" }

    static func event(_ user: UserID, _ item: ItemID, time: Int64 = 1_700_000_000_000) -> Event {
        Event(user: user, item: item, rating: 4, time: time)
    }

    static func question(
        _ user: UserID,
        form: Question.AnswerForm = .title,
        knowing count: UInt64 = 0,
        milliseconds: Int64 = 600_000
    ) -> Question {
        let now = WallClock.milliseconds
        return Question(
            id: QuestionID(UUID().uuidString.lowercased()),
            user: user,
            text: form == .title ? "What will the user watch next?" : "What is the user's favourite genre?",
            form: form,
            itemCount: 3,
            minimumEventCount: count,
            askedAt: now,
            deadline: now + milliseconds
        )
    }

    // MARK: - What is promised

    /// Must be the suite's first: rows of other users would be too many.
    static func replayWithKills() async throws {
        let shared = try SharedSystem.required()
        // Out of order in the file, as most published sets are; what the rows must be is what `trainer prepare` makes of it.
        let source = try EventSource.shuffled(
            (0..<60).map { shared.world.viewer($0).events },
            catalogue: shared.world.catalogue,
            seed: 14,
            in: "\(shared.folder)/shuffled",
            label: "60 viewers of an invented world, in no order"
        )
        let result = try await ReplayVerification(
            shared.system,
            source,
            bundle: shared.bundle,
            order: "time",
            kills: ["encoder-worker", "embedding-writer", "llm-responder", "event-ingestor", "gateway"],
            within: longestWait
        ).run()
        #expect(result.killed.count == 5)
        #expect(result.rows.mismatches == [])
        #expect(result.rows.foundRows == 60)
        #expect(result.rows.worstDifference <= OfflineRows.tolerance)
        let restarts = try shared.system.state().processes.filter { $0.restarts > 0 }.map(\.name)
        #expect(Set(restarts).count == 5)
    }

    static func questions() async throws {
        let shared = try SharedSystem.required()
        let result = try await QuestionsVerification(
            shared.system,
            world: shared.world,
            count: 60,
            users: 20,
            kills: ["llm-responder"]
        ).run()
        #expect(result.mismatches == [])
        #expect(result.answeredOnce == 60)
        #expect(result.events > 0)
    }

    static func freshness() async throws {
        let shared = try SharedSystem.required()
        let result = try await FreshnessVerification(shared.system, world: shared.world, count: 20, users: 4).run()
        #expect(result.mismatches == [])
        #expect(result.events == 20)
    }

    // MARK: - Bad input

    static func badRequests() async throws {
        let shared = try SharedSystem.required()
        let user = freshUser("lines")
        let lines = [
            #"{"user":"\#(user)","item":"f1","time":1700000000000}"#,
            #"{"item":"f2"}"#,
            #"{"user":"\#(user)","item":[7]}"#,
            #"{"user":"\#(user)","item":"an item the model has never seen","categories":["Drama"]}"#,
        ]
        let reply = try await http.send(
            HTTPClientRequest(
                "POST",
                "\(try shared.system.state().ingestors[0])/v1/events",
                headers: [("content-type", "application/x-ndjson")],
                body: Array(lines.joined(separator: "\n").utf8)
            )
        )
        #expect(reply.status == 400)
        #expect(reply.text.contains("user"))
        #expect(reply.text.contains("item"))
        #expect(reply.text.contains("2") && reply.text.contains("3"), "the lines at fault: \(reply.text)")
        // Lines 1 and 4 are in: the answer waits until it knows two events.
        let answer = try await shared.system.client().ask(question(user, knowing: 2))
        #expect(answer.status == .answered)
        #expect(answer.eventCount == 2)
    }

    static func badRecords() async throws {
        let shared = try SharedSystem.required()
        let log = try await openLog(try shared.system.state().log)
        let user = freshUser("records")
        let key = Array(user.utf8)
        let nonsense: [UInt8] = [0xff, 0x00, 0xfe]
        let events = Topic.userEvents.rawValue
        try await log.append([
            OutgoingRecord(topic: events, key: key, value: try event(user, "f1").encoded()),
            OutgoingRecord(topic: events, key: key, value: nonsense, headers: [Header("origin", "test")]),
            OutgoingRecord(topic: events, key: key, value: try event(freshUser("other"), "f2").encoded()),
            OutgoingRecord(
                topic: events,
                key: key,
                value: Array(#"{"user":"\#(user)","item":"f3"}"#.utf8),
                headers: [Header("content-type", "application/json")]
            ),
            OutgoingRecord(topic: Topic.questions.rawValue, key: key, value: nonsense),
        ])
        let answer = try await shared.system.client().ask(question(user, knowing: 2))
        #expect(answer.eventCount == 2)

        let rejected = try await records(of: Topic.userEvents.rejected, with: key, count: 2, log)
        #expect(rejected.first?.value == nonsense)
        #expect(rejected.first?.header("origin") == "test")
        let rejections = rejected.compactMap { Rejection(headersOf: $0) }
        #expect(rejections.count == 2)
        #expect(rejections.allSatisfy { $0.service == "encoder-worker" && $0.source.topic == events })
        #expect(rejections.last?.reason.contains("user") == true)
        let questions = try await records(of: Topic.questions.rejected, with: key, count: 1, log)
        #expect(Rejection(headersOf: questions[0])?.service == "llm-responder")
        await log.close()
    }

    /// Waits until a topic has this many records of a key.
    private static func records(
        of topic: String,
        with key: [UInt8],
        count: Int,
        _ log: any MessageLog
    ) async throws -> [Record] {
        var found: [Record] = []
        try await poll("\(topic) has \(count) records of the key") {
            let collector = RecordCollector(key: key)
            for partition in 0..<(try await log.partitionCount(of: topic) ?? 0) {
                try await log.replay(TopicPartition(topic, partition)) { records in await collector.take(records) }
            }
            found = await collector.records
            return found.count >= count
        }
        return found
    }

    static func unanswerableQuestions() async throws {
        let client = try SharedSystem.required().system.client()
        let stranger = try await client.ask(question(freshUser("stranger")))
        #expect(stranger.status == .noHistory)
        #expect(stranger.eventCount == 0)
        #expect(!stranger.text.isEmpty)

        // It asks for more events than there will ever be, and does not hold up the others.
        let patient = freshUser("patient")
        try await client.send([event(patient, "f1")])
        async let late = client.ask(question(patient, knowing: 1_000, milliseconds: 3_000))
        let prompt = try await client.ask(question(patient, knowing: 1))
        #expect(prompt.status == .answered)
        let expired = try await late
        #expect(expired.status == .expired)
        #expect(expired.text.isEmpty)
        #expect(expired.reason.contains("deadline"))

        var tooMany = question(patient)
        tooMany.text = String(repeating: "word ", count: 400)
        let failed = try await client.ask(tooMany)
        #expect(failed.status == .failed)
        #expect(!failed.reason.isEmpty)
    }

    /// What a user has had is no answer, whether or not the timeline still has the event, and is one when asked for.
    static func seenItems() async throws {
        let shared = try SharedSystem.required()
        let client = try shared.system.client()
        let user = freshUser("viewer")
        let had = try ModelBundle.load(shared.bundle).timelineLength + 20
        let items = shared.world.catalogue.items.prefix(had).map(\.id)
        try await client.send(items.map { event(user, $0) })
        var asked = question(user, knowing: UInt64(had))
        asked.itemCount = shared.world.catalogue.count
        let answer = try await client.ask(asked)
        #expect(answer.status == .answered, "\(answer.reason)")
        #expect(Set(answer.items.map(\.id)) == Set(shared.world.catalogue.items.map(\.id)).subtracting(items))
        asked.id = QuestionID(UUID().uuidString)
        asked.includesSeen = true
        let all = try await client.ask(asked)
        #expect(Set(all.items.map(\.id)) == Set(shared.world.catalogue.items.map(\.id)))

        // Who has had everything is told so, and not by an answer.
        try await client.send(shared.world.catalogue.items.dropFirst(had).map { event(user, $0.id) })
        let nothing = try await client.ask(question(user, knowing: UInt64(shared.world.catalogue.count)))
        #expect(nothing.status == .failed && nothing.reason.contains("include_seen"), "\(nothing.reason)")
    }

    static func deletion() async throws {
        let system = try SharedSystem.required().system
        let state = try system.state()
        let client = try system.client()
        let user = freshUser("forgotten")
        try await client.send([event(user, "f1"), event(user, "f2"), event(user, "f3")])
        #expect(try await client.ask(question(user, knowing: 3)).eventCount == 3)
        try await client.delete(user: user)
        let table = try await EmbeddingTable(database: state.database)
        try await poll("the row of \(user) is gone") {
            try await table.row(user: user, modelVersion: state.modelVersion) == nil
        }
        #expect(try await client.ask(question(user)).status == .noHistory)
        // Whoever comes back begins anew.
        try await client.send([event(user, "f4")])
        let answer = try await client.ask(question(user, knowing: 1))
        #expect(answer.eventCount == 1)
        await table.close()
    }

    /// Two users whose ids are the same to a reader, and to Swift's `String`, from the door to the row.
    static func usersThatDifferInBytesAlone() async throws {
        let system = try SharedSystem.required().system
        let state = try system.state()
        let client = try system.client()
        let name = freshUser("jos").text
        let (composed, decomposed) = (UserID(name + "\u{E9}"), UserID(name + "e\u{301}"))
        try await client.send([event(composed, "f1"), event(decomposed, "f2"), event(composed, "f3")])
        #expect(try await client.ask(question(composed, knowing: 2)).eventCount == 2)
        #expect(try await client.ask(question(decomposed, knowing: 1)).eventCount == 1)
        try await client.delete(user: composed)
        let table = try await EmbeddingTable(database: state.database)
        try await poll("the row of \(composed) is gone") {
            try await table.row(user: composed, modelVersion: state.modelVersion) == nil
        }
        #expect(try await table.row(user: decomposed, modelVersion: state.modelVersion)?.eventCount == 1)
        // The one that is left goes on.
        try await client.send([event(decomposed, "f4")])
        #expect(try await client.ask(question(decomposed, knowing: 2)).eventCount == 2)
        await table.close()
    }

    static func status() async throws {
        let shared = try SharedSystem.required()
        let user = freshUser("status")
        try await shared.system.client().send([event(user, "f1")])
        #expect(try await shared.system.client().ask(question(user, knowing: 1)).eventCount == 1)
        // On a busy machine a member may have lost its partitions a moment ago, and says so.
        var text = ""
        try await poll("every process is ready at once", every: .seconds(1)) {
            let (code, printed) = try await LocalSystem.run(["status", "--json", "--data", shared.system.data])
            #expect(code == .exited(0), "\(printed)")
            text = printed
            return !text.contains("\"notReady\"") && !text.contains("\"isReady\" : false")
        }
        let report = try #require(JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
        #expect(report["isUp"] as? Bool == true)
        let processes = try #require(report["processes"] as? [[String: Any]])
        #expect(processes.filter { $0["name"] as? String == "encoder-worker" }.count == 2)
        #expect(processes.allSatisfy { $0["isAlive"] as? Bool == true && $0["notReady"] == nil }, "\(text)")
        func partitions(_ name: String) -> [[String: Any]] {
            processes.filter { $0["name"] as? String == name }
                .flatMap { ($0["work"] as? [String: Any])?["partitions"] as? [[String: Any]] ?? [] }
        }
        for name in ["encoder-worker", "embedding-writer", "llm-responder"] {
            let held = partitions(name)
            #expect(held.compactMap { $0["partition"] as? Int }.sorted() == [0, 1, 2, 3], "\(name): \(text)")
            #expect(held.allSatisfy { $0["isReady"] as? Bool == true }, "\(name): \(text)")
        }
        let rows = try #require(report["rows"] as? [[String: Any]])
        #expect((rows.first?["count"] as? Int ?? 0) > 0)
        #expect((report["lags"] as? [[String: Any]])?.count == 3)
        #expect(report["freshness"] != nil)
        #expect(report["problems"] as? [String] == [])

        let (asked, printed) = try await LocalSystem.run([
            "ask", "nobody", "What is the user's favourite genre?", "--form", "category", "--data", shared.system.data,
        ])
        #expect(asked == .exited(0), "\(printed)")
        #expect(printed.contains("no history"))
    }
}

private actor RecordCollector {
    let key: [UInt8]
    private(set) var records: [Record] = []

    init(key: [UInt8]) { self.key = key }

    func take(_ some: [Record]) { records += some.filter { $0.key == key } }
}
