import Foundation
import HTTPClient
import HTTPServer
import Bytes
import LogAddresses
import Messages
import ServiceRuntime
import MessageLogs
import Synchronization
import TestSupport
import Testing

@testable import Gateway

@Suite(.timeLimit(.minutes(15)))
struct GatewayTests {
    private let user = UserID("gateway-\(UUID().uuidString)")

    private func ask(_ gateway: Gateway, _ client: HTTPClient, query: String = "") async throws -> HTTPClientResponse {
        let body = Array(#"{"user":"\#(user)","question":"what next?","form":"title"}"#.utf8)
        return try await client.send(.init("POST", "\(gateway.url)/v1/questions\(query)", body: body))
    }

    private func id(_ response: HTTPClientResponse) throws -> QuestionID {
        struct Accepted: Decodable { let id: QuestionID }
        return try JSONDecoder().decode(Accepted.self, from: Data(response.body)).id
    }

    private func answer(_ id: QuestionID) -> Answer {
        Answer(questionID: id, user: user, status: .answered, text: "Alien", askedAt: 1, answeredAt: 2)
    }

    private func append(_ answer: Answer, _ log: any MessageLog) async throws {
        let key = Array(user.utf8)
        try await log.append([OutgoingRecord(topic: Topic.answers.rawValue, key: key, value: answer.encoded())])
    }

    private func append(_ tokens: [String], of id: QuestionID, _ log: any MessageLog) async throws {
        let records = try tokens.enumerated().map { position, text in
            OutgoingRecord(
                topic: Topic.answerTokens.rawValue,
                key: Array(user.utf8),
                value: try AnswerToken(questionID: id, position: UInt32(position), text: text).encoded()
            )
        }
        try await log.append(records)
    }

    /// The first question of the test's user in the log.
    private func question(_ log: any MessageLog) async throws -> Question? {
        let found = Mutex<Question?>(nil)
        for partition in 0..<Int32(2) {
            try await log.replay(TopicPartition(Topic.questions.rawValue, partition)) { records in
                for record in records where record.key == Array(user.utf8) {
                    let question = try Question(decoding: record.value ?? [], contentType: nil)
                    found.withLock { $0 = question }
                }
            }
        }
        return found.withLock { $0 }
    }

    @Test func aQuestionIsInTheLogAndItsAnswerAtEveryGateway() async throws {
        try await withGateways(2) { log, gateways, client in
            let asked = try await ask(gateways[0], client)
            let id = try id(asked)
            #expect(asked.status == 202 && asked.header("Location") == "/v1/answers/\(id)")
            let question = try #require(try await question(log))
            #expect(question.id == id && question.form == .title && question.deadline == question.askedAt + 30_000)
            async let first = client.send(.init("GET", "\(gateways[0].url)/v1/answers/\(id)"))
            async let second = client.send(.init("GET", "\(gateways[1].url)/v1/answers/\(id)?wait=30"))
            try await append(answer(id), log)
            for response in [try await first, try await second] {
                #expect(response.status == 200)
                #expect(try Answer(decoding: response.body, contentType: "application/json") == answer(id))
            }
            // A gateway that starts later finds it too.
            let late = try Gateway(log)
            let shutdown = Shutdown()
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await late.run(until: shutdown) }
                #expect(try await client.send(.init("GET", "\(late.url)/v1/answers/\(id)")).status == 200)
                shutdown.request()
                try await group.waitForAll()
            }
        }
    }

    @Test func aConversationIsInTheLogAndItsAnswerSaysWhatItTook() async throws {
        try await withGateways { log, gateways, client in
            let url = "\(gateways[0].url)/v1/questions"
            let body = #"""
                {"user":"\#(user)","question":"And now?","form":"text","system":"Be brief.","top_p":0.5,"stop":"END",
                "turns":[{"role":"user","text":"What next?"},{"role":"assistant","text":"Alien"}]}
                """#
            let id = try id(try await client.send(.init("POST", url, body: Array(body.utf8))))
            let question = try #require(try await question(log))
            #expect(question.id == id && question.system == "Be brief." && question.topP == 0.5)
            #expect(question.turns.map(\.role) == [.user, .assistant] && question.turns.map(\.text).last == "Alien")
            #expect(question.stop == ["END"])
            var answer = answer(id)
            (answer.promptTokens, answer.answerTokens, answer.finish) = (31, 2, .length)
            try await append(answer, log)
            let response = try await client.send(.init("GET", "\(gateways[0].url)/v1/answers/\(id)"))
            #expect(response.status == 200 && response.text.contains(#""prompt_tokens":31"#), "\(response.text)")
            #expect(response.text.contains(#""answer_tokens":2"#) && response.text.contains(#""finish":"length""#))
            let refused = body.replacing(#""text","system"#, with: #""title","system"#)
            let bad = try await client.send(.init("POST", url, body: Array(refused.utf8)))
            #expect(bad.status == 400 && bad.text.contains(#""field":"top_p""#), "\(bad.text)")
            #expect(gateways[0].metrics.questions.count == 1)
        }
    }

    @Test func aQuestionMayWaitForItsAnswer() async throws {
        try await withGateways { log, gateways, client in
            async let response = ask(gateways[0], client, query: "?wait=30")
            var asked: Question?
            while asked == nil { asked = try await question(log) }
            try await append(answer(try #require(asked).id), log)
            #expect(try await response.status == 200)
            let pending = try await ask(gateways[0], client, query: "?wait=0.01")
            #expect(pending.status == 202)
            let url = "\(gateways[0].url)/v1/answers/\(try id(pending))"
            #expect(try await client.send(.init("GET", "\(url)?wait=0.01")).status == 404)
        }
    }

    @Test func aStreamHasThePiecesAndThenTheAnswer() async throws {
        try await withGateways { log, gateways, client in
            let id = try id(try await ask(gateways[0], client))
            try await append(["Al", "ien"], of: id, log)
            var names: [String] = []
            for try await event in client.serverSentEvents(.init("GET", "\(gateways[0].url)/v1/answers/\(id)/stream")) {
                names.append(event.name)
                switch names.count {
                case 1: #expect(event.data == #"{"position":0,"text":"Al"}"#)
                case 2:
                    #expect(event.data == #"{"position":1,"text":"ien"}"#)
                    try await append(answer(id), log)
                default:
                    #expect(try Answer(decoding: Array(event.data.utf8), contentType: "application/json") == answer(id))
                }
            }
            #expect(names == ["token", "token", "answer"])
            let stream = HTTPClientRequest(
                "GET",
                "\(gateways[0].url)/v1/answers/nobody?wait=0.01",
                headers: [("Accept", "text/event-stream")]
            )
            for try await event in client.serverSentEvents(stream) { #expect(event.name == "pending") }
        }
    }

    @Test func aReaderThatIsGoneLeavesNothing() async throws {
        try await withGateways { log, gateways, client in
            let id = QuestionID(UUID().uuidString)
            try await append(["Al"], of: id, log)
            for try await _ in client.serverSentEvents(.init("GET", "\(gateways[0].url)/v1/answers/\(id)/stream")) {
                break
            }
            while gateways[0].metrics.waiting.value > 0 { try await Task.sleep(for: .milliseconds(5)) }
        }
    }

    @Test func aRecordThatCannotBeReadIsPassedOver() async throws {
        try await withGateways { log, gateways, client in
            let id = QuestionID(UUID().uuidString)
            let broken = OutgoingRecord(topic: Topic.answers.rawValue, key: Array(user.utf8), value: [0xFF, 1, 2])
            try await log.append([broken])
            try await append(answer(id), log)
            #expect(try await client.send(.init("GET", "\(gateways[0].url)/v1/answers/\(id)")).status == 200)
            #expect(gateways[0].metrics.rejected.count >= 1)
        }
    }

    @Test func aQuestionSentTwiceIsAskedOnceAndBadOnesAreNamed() async throws {
        try await withGateways { log, gateways, client in
            let url = "\(gateways[0].url)/v1/questions"
            let id = QuestionID(UUID().uuidString)
            let body = Array(#"{"user":"\#(user)","question":"what next?","id":"\#(id)"}"#.utf8)
            for _ in 0..<2 { #expect(try await client.send(.init("POST", url, body: body)).status == 202) }
            #expect(gateways[0].metrics.questions.count == 1)
            let bad = try await client.send(.init("POST", url, body: Array(#"{"user":"u"}"#.utf8)))
            #expect(bad.status == 400 && bad.text.contains(#""field":"question""#))
            let wait = try await client.send(.init("GET", "\(gateways[0].url)/v1/answers/x?wait=soon"))
            #expect(wait.status == 400 && wait.text.contains(#""field":"wait""#))
        }
    }

    @Test func aLogThatIsAwayIsTold() async throws {
        let log = try await openLog(PrivatePostgres.shared().makeDatabase())
        await log.close()
        let gateway = try Gateway(log)
        let shutdown = Shutdown()
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await gateway.server.run(until: { await shutdown.requested() }) }
            let response = try await ask(gateway, HTTPClient())
            #expect(response.status == 503 && response.header("Retry-After") != nil)
            shutdown.request()
            try await group.waitForAll()
        }
    }
}
