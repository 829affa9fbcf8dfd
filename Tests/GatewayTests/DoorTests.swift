import Foundation
import HTTPClient
import HTTPServer
import Bytes
import LogAddresses
import Messages
import ServiceRuntime
import MessageLogs
import TestSupport
import Testing

@testable import Gateway

/// What strangers, and people in a hurry, may get out of a gateway.
@Suite(.timeLimit(.minutes(15)))
struct DoorTests {
    private static func get(_ target: String, _ headers: String = "Host: localhost", close: Bool = true) -> String {
        "GET \(target) HTTP/1.1\r\n\(headers)\r\n\(close ? "Connection: close\r\n" : "")\r\n"
    }

    private func append(_ text: String, to user: UserID, _ id: QuestionID, _ log: any MessageLog) async throws {
        let answer = Answer(questionID: id, user: user, status: .answered, text: text, askedAt: 1, answeredAt: 2)
        let (key, value) = (Array(user.utf8), try answer.encoded())
        try await log.append([OutgoingRecord(topic: Topic.answers.rawValue, key: key, value: value)])
    }

    private func ask(_ gateway: Gateway, _ client: HTTPClient, _ user: String, _ id: String, _ text: String = "what?")
        async throws -> HTTPClientResponse
    {
        let body = #"{"user":"\#(user)","question":"\#(text)","id":"\#(id)"}"#
        return try await client.send(.init("POST", "\(gateway.url)/v1/questions", body: Array(body.utf8)))
    }

    // MARK: - Whose question it is

    @Test func anotherUsersIdIsRefusedAndTellsNothing() async throws {
        try await withGateways(2) { log, gateways, client in
            let asked = try await ask(gateways[0], client, "alice", "7", "my secret?")
            #expect(asked.status == 202)
            #expect(asked.header("Location") == "/v1/answers/7?user=alice")
            #expect(asked.text.contains(#""stream":"/v1/answers/7/stream?user=alice""#))
            try await append("her secret", to: "alice", "7", log)
            // The other gateway knows it once the answer is in the log.
            for gateway in gateways {
                let url = "\(gateway.url)/v1/answers/7"
                #expect(try await client.send(.init("GET", "\(url)?user=alice&wait=40")).text.contains("her secret"))
                let other = try await ask(gateway, client, "bob", "7")
                #expect(other.status == 409 && other.text.contains(#""field":"id""#))
                #expect(!other.text.contains("secret") && !other.text.contains("alice"))
                let waiting = HTTPClientRequest(
                    "POST",
                    "\(gateway.url)/v1/questions?wait=40",
                    body: Array(#"{"user":"bob","question":"what?","id":"7"}"#.utf8)
                )
                #expect(try await client.send(waiting).status == 409)
                #expect(try await client.send(.init("GET", "\(url)?user=bob&wait=0")).status == 404)
                #expect(try await client.send(.init("GET", "\(url)?user=al%C3%AFce&wait=0")).status == 404)
            }
            // Sent again, it is the same question; another one with its id is not.
            #expect(try await ask(gateways[0], client, "alice", "7", "my secret?").status == 202)
            #expect(try await ask(gateways[0], client, "alice", "7", "another?").status == 409)
            #expect(gateways.map(\.metrics.questions.count) == [1, 0])
        }
    }

    @Test func whoNamesNoUserIsAskedForOneWhenTwoHaveTheId() async throws {
        try await withGateways { log, gateways, client in
            let url = "\(gateways[0].url)/v1/answers/7"
            try await append("hers", to: "alice", "7", log)
            #expect(try await client.send(.init("GET", "\(url)?wait=40")).text.contains("hers"))
            try await append("his", to: "bob", "7", log)
            #expect(try await client.send(.init("GET", "\(url)?user=bob&wait=40")).text.contains("his"))
            #expect(try await client.send(.init("GET", "\(url)?user=alice&wait=40")).text.contains("hers"))
            let unnamed = try await client.send(.init("GET", "\(url)?wait=40"))
            #expect(unnamed.status == 409 && unnamed.text.contains(#""field":"user""#))
            var names: [String] = []
            for try await event in client.serverSentEvents(.init("GET", "\(url)/stream")) { names.append(event.name) }
            #expect(names == ["ambiguous"])
            names = []
            for try await event in client.serverSentEvents(.init("GET", "\(url)/stream?user=bob")) {
                names.append(event.name)
                #expect(event.data.contains("his"))
            }
            #expect(names == ["answer"])
        }
    }

    // MARK: - Who waits

    @Test(arguments: ["/v1/answers/x?wait=40", "/v1/answers/x/stream", "/v1/answers/x?user=u"])
    func aClientThatGoesLeavesItsSeat(target: String) async throws {
        try await withGateways(1, ["heartbeat": "60s"]) { _, gateways, _ in
            let gateway = gateways[0]
            let connections = try (0..<20).map { _ in try RawConnection(port: gateway.server.port) }
            for connection in connections { try await connection.send(Self.get(target, close: false)) }
            while gateway.metrics.waiting.value < 20 { try await Task.sleep(for: .milliseconds(5)) }
            for connection in connections { connection.close() }
            while gateway.metrics.waiting.value > 0 || gateway.waitingRoom.count > 0 {
                try await Task.sleep(for: .milliseconds(5))
            }
            #expect(gateway.board.placeCount == 0)
        }
    }

    @Test func aClientThatGoesWhileItsQuestionWaitsLeavesItsSeatToo() async throws {
        try await withGateways(1, ["heartbeat": "60s"]) { _, gateways, _ in
            let gateway = gateways[0]
            let body = #"{"user":"u","question":"what?"}"#
            for headers in ["", "Accept: text/event-stream\r\n"] {
                let connection = try RawConnection(port: gateway.server.port)
                let head = "POST /v1/questions?wait=40 HTTP/1.1\r\nHost: localhost\r\n\(headers)"
                try await connection.send("\(head)Content-Length: \(body.utf8.count)\r\n\r\n\(body)")
                while gateway.metrics.waiting.value == 0 { try await Task.sleep(for: .milliseconds(5)) }
                connection.close()
                while gateway.waitingRoom.count > 0 { try await Task.sleep(for: .milliseconds(5)) }
            }
            // What was asked stays asked.
            #expect(gateway.metrics.questions.count == 2)
        }
    }

    @Test func thousandsOfWaitersLeaveRoomForOthers() async throws {
        let flags = [
            "maximum-connections": "100", "maximum-waiting": "30", "maximum-waiting-per-address": "20",
            "maximum-wait": "3600s",
        ]
        try await withGateways(1, flags) { log, gateways, _ in
            let gateway = gateways[0]
            let port = gateway.server.port
            func wait(from address: String, _ count: Int) async throws -> [RawConnection] {
                let connections = try (0..<count).map { _ in try RawConnection(port: port, from: address) }
                for connection in connections {
                    try await connection.send(Self.get("/v1/answers/x?wait=3600", close: false))
                }
                return connections
            }
            let first = try await wait(from: "127.0.0.2", 20)
            while gateway.waitingRoom.count < 20 { try await Task.sleep(for: .milliseconds(5)) }
            for target in ["/v1/answers/y?wait=3600", "/v1/answers/y", "/v1/answers/y/stream"] {
                let text = try await RawConnection.exchange(Self.get(target), port: port, from: "127.0.0.2")
                #expect(text.httpStatus == 429 && text.contains("Retry-After: 1"), "\(text)")
            }
            let second = try await wait(from: "127.0.0.3", 10)
            while gateway.waitingRoom.count < 30 { try await Task.sleep(for: .milliseconds(5)) }
            let text = try await RawConnection.exchange(Self.get("/v1/answers/y"), port: port, from: "127.0.0.4")
            #expect(text.httpStatus == 503 && text.contains("Retry-After: 1"), "\(text)")
            // A question that may not wait is not asked, and without waiting it is.
            let body = #"{"user":"u","question":"what?"}"#
            for (query, expected) in [("?wait=5", 503), ("", 202)] {
                let head = "POST /v1/questions\(query) HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
                let request = "\(head)Content-Length: \(body.utf8.count)\r\n\r\n\(body)"
                let answered = try await RawConnection.exchange(request, port: port)
                #expect(answered.httpStatus == expected)
            }
            #expect(gateway.metrics.questions.count == 1)
            let now = Self.get("/v1/answers/y?wait=0")
            #expect(try await RawConnection.exchange(now, port: port, from: "127.0.0.2").httpStatus == 404)
            try await append("here", to: "u", "x", log)
            for connection in first + second { #expect(try await connection.read(until: "here").contains("200 OK")) }
        }
    }

    // MARK: - What is refused

    @Test func refusesWhatIsNotRightWithASentence() async throws {
        try await withGateways { _, gateways, _ in
            let long = String(repeating: "i", count: 513)
            let wide = String(repeating: "%C3%BC", count: 257)
            for (target, expected, field) in [
                ("/v1/answers/x?wait=nan", 400, "wait"), ("/v1/answers/x?wait=inf", 400, "wait"),
                ("/v1/answers/x?wait=-inf", 400, "wait"), ("/v1/answers/x?wait=1e999", 400, "wait"),
                ("/v1/answers/x?wait=-1", 400, "wait"), ("/v1/answers/x?wait=86401", 400, "wait"),
                ("/v1/answers/x?wait=", 400, "wait"), ("/v1/answers/x?wait=%31x", 400, "wait"),
                ("/v1/answers/x/stream?wait=nan", 400, "wait"), ("/v1/answers/%00?wait=0", 400, "path"),
                ("/v1/answers/%ff?wait=0", 400, "path"), ("/v1/answers/%C3?wait=0", 400, "path"),
                ("/v1/answers/%ED%A0%80?wait=0", 400, "path"), ("/v1/answers/a%?wait=0", 400, "path"),
                ("/v1/answers/\(long)?wait=0", 400, "id"), ("/v1/answers/\(wide)?wait=0", 400, "id"),
                ("/v1/answers/\(long)/stream", 400, "id"), ("/v1/answers/x?user=&wait=0", 400, "user"),
                ("/v1/answers/x?user=\(long)&wait=0", 400, "user"), ("/v1/answers/x?wait=0&user=%ff", 400, "query"),
                ("/v1/answers/x?wait=1e-320", 404, nil), ("/v1/answers/x?wait=0", 404, nil),
                ("/v1/answers/?wait=0", 404, nil), ("/v1/answers//stream?wait=0", 404, nil),
            ] {
                let text = try await RawConnection.exchange(Self.get(target), port: gateways[0].server.port)
                #expect(text.httpStatus == expected, "\(target): \(text)")
                #expect(text.contains(#"{"error":{"message":""#), "\(target): \(text)")
                if let field { #expect(text.contains(#""field":"\#(field)""#), "\(target): \(text)") }
            }
        }
    }

    @Test func pagesOfOtherSitesAskNothing() async throws {
        try await withGateways(1, ["allowed-hosts": "ask.example"]) { _, gateways, _ in
            let body = #"{"user":"u","question":"what?"}"#
            for (headers, expected) in [
                ("Host: localhost\r\nOrigin: https://elsewhere.example\r\nContent-Type: text/plain", 403),
                ("Host: localhost\r\nSec-Fetch-Site: cross-site\r\nContent-Type: text/plain", 403),
                ("Host: rebound.example\r\nContent-Type: application/json", 403),
                ("Host: ask.example\r\nOrigin: https://ask.example", 202), ("Host: localhost", 202),
            ] {
                let request =
                    "POST /v1/questions HTTP/1.1\r\n\(headers)\r\nConnection: close\r\n"
                    + "Content-Length: \(body.utf8.count)\r\n\r\n\(body)"
                let text = try await RawConnection.exchange(request, port: gateways[0].server.port)
                #expect(text.httpStatus == expected, "\(headers): \(text)")
            }
            #expect(gateways[0].metrics.questions.count == 2)
        }
    }
}
