import HTTPClient
import Testing

@testable import HTTPServer

/// Runs a server around a body of requests.
func withServer(
    _ change: (inout HTTPServerConfiguration) -> Void = { _ in },
    handler: @escaping HTTPHandler,
    _ body: @escaping @Sendable (HTTPClient, String) async throws -> Void
) async throws {
    var configuration = HTTPServerConfiguration()
    change(&configuration)
    let server = try HTTPServer(configuration, handler: handler)
    let (stopped, stop) = AsyncStream<Never>.makeStream()
    try await withThrowingTaskGroup(of: Void.self) { group in
        group.addTask { try await server.run(until: { for await _ in stopped {} }) }
        group.addTask {
            defer { stop.finish() }
            try await body(HTTPClient(), "http://127.0.0.1:\(server.port)")
        }
        try await group.waitForAll()
    }
}

@Suite(.timeLimit(.minutes(15))) struct HTTPServerTests {
    private func router() -> HTTPRouter {
        var router = HTTPRouter()
        router.on("GET", "/users/{id}") { request in
            .text("\(request.pathParameters["id"] ?? "") \(request.queryValue("q") ?? "")")
        }
        router.on("POST", "/echo") { request in
            .json(request.body, status: 201, headers: [("X-Type", request.contentType?.type ?? "none")])
        }
        return router
    }

    private func respond(_ request: HTTPRequest) async -> HTTPResponse { await router().respond(to: request) }

    @Test func routesDecodesAndEchoes() async throws {
        try await withServer(handler: respond) { client, url in
            let user = try await client.send(.init("GET", "\(url)/users/a%2Fb%20c?q=%C3%BC+1"))
            #expect(user.status == 200 && user.text == "a/b c ü 1")
            let bytes = (0..<1_000_000).map { UInt8(truncatingIfNeeded: $0 &* 31) }
            let headers = [("Content-Type", "Application/JSON; charset=utf-8")]
            let echo = try await client.send(.init("POST", "\(url)/echo", headers: headers, body: bytes))
            #expect(echo.status == 201 && echo.body == bytes && echo.header("x-type") == "application/json")
        }
    }

    @Test(arguments: [
        ("GET", "/nothing", 404), ("DELETE", "/users/1", 405), ("GET", "/users/", 404), ("GET", "/users/%zz", 400),
        ("GET", "/users/1?q=%ff", 400), ("GET", "/users/%00", 400), ("HEAD", "/users/1", 200),
    ])
    func answersWhatIsWrong(method: String, path: String, status: Int) async throws {
        try await withServer(handler: respond) { client, url in
            let response = try await client.send(.init(method, url + path))
            #expect(response.status == status)
            if status == 405 { #expect(response.header("Allow") == "GET") }
            if status >= 400 { #expect(response.text.hasPrefix("{\"error\":{\"message\":\"")) }
        }
    }

    @Test func refusesBodiesOverTheLimitAndGoesOn() async throws {
        try await withServer({ $0.maximumBodyByteCount = 1_000 }, handler: respond) { client, url in
            for count in [1_001, 3_000_000, 40_000_000] {
                let large = try await client.send(.init("POST", "\(url)/echo", body: Array(repeating: 1, count: count)))
                #expect(large.status == 413 && large.text.contains("1000 bytes"))
            }
            let chunked = [("Transfer-Encoding", "chunked")]
            let body = Array(repeating: UInt8(1), count: 5_000)
            #expect(try await client.send(.init("POST", "\(url)/echo", headers: chunked, body: body)).status == 413)
            let fits = Array(repeating: UInt8(1), count: 1_000)
            #expect(try await client.send(.init("POST", "\(url)/echo", body: fits)).status == 201)
        }
    }

    @Test func refusesWhatWouldHoldTooManyBytes() async throws {
        let (entered, enter) = AsyncStream<Void>.makeStream()
        let (released, release) = AsyncStream<Never>.makeStream()
        let handler: HTTPHandler = { request in
            enter.yield()
            for await _ in released {}
            return .text("\(request.body.count)")
        }
        try await withServer({ $0.maximumBufferedByteCount = 1_500 }, handler: handler) { client, url in
            let body = Array(repeating: UInt8(1), count: 1_000)
            async let first = client.send(.init("POST", url, body: body))
            for await _ in entered { break }
            let second = try await client.send(.init("POST", url, body: body))
            #expect(second.status == 503 && second.header("Retry-After") == "1")
            release.finish()
            #expect(try await first.text == "1000")
            let third = try await client.send(.init("POST", url, body: body))
            #expect(third.status == 200)
        }
    }

    @Test func answersManyRequestsAtOnce() async throws {
        try await withServer(handler: respond) { client, url in
            try await withThrowingTaskGroup(of: Void.self) { group in
                for index in 0..<64 {
                    group.addTask {
                        for round in 0..<20 {
                            let text = try await client.send(.init("GET", "\(url)/users/\(index)-\(round)")).text
                            #expect(text == "\(index)-\(round) ")
                        }
                    }
                }
                try await group.waitForAll()
            }
        }
    }

    @Test func streamsEventsAsTheyAreWritten() async throws {
        let (wanted, want) = AsyncStream<Int>.makeStream()
        let handler: HTTPHandler = { _ in
            .serverSentEvents { writer in
                for await number in wanted {
                    try await writer.send(event: "number", data: "\(number)\nof many")
                    if number == 3 { return }
                }
            }
        }
        try await withServer(handler: handler) { client, url in
            want.yield(1)
            var seen: [String] = []
            for try await event in client.serverSentEvents(.init("GET", url)) {
                seen.append("\(event.name) \(event.data)")
                // The next is written only once this one was read, so it cannot have waited for the end.
                want.yield(seen.count + 1)
            }
            #expect(seen == ["number 1\nof many", "number 2\nof many", "number 3\nof many"])
        }
    }

    @Test func aWriterWaitsForItsReaderAndLearnsThatItIsGone() async throws {
        let (ends, end) = AsyncStream<String>.makeStream()
        let handler: HTTPHandler = { _ in
            .serverSentEvents { writer in
                do {
                    while true { try await writer.send(data: String(repeating: "x", count: 10_000)) }
                } catch is HTTPStreamClosed {
                    end.yield("gone")
                }
            }
        }
        try await withServer(handler: handler) { client, url in
            for try await _ in client.serverSentEvents(.init("GET", url)) { break }
            for await reason in ends {
                #expect(reason == "gone")
                break
            }
        }
    }

    @Test func aStopAnswersWhatIsBeingWorkedOnAndCutsWhatDoesNotEnd() async throws {
        let (entered, enter) = AsyncStream<Void>.makeStream()
        let handler: HTTPHandler = { _ in
            enter.yield()
            try? await Task.sleep(for: .seconds(3_600))
            return .text("late")
        }
        var configuration = HTTPServerConfiguration()
        configuration.drainDuration = .milliseconds(20)
        let server = try HTTPServer(configuration, handler: handler)
        let client = HTTPClient()
        async let answer = client.send(.init("GET", "http://127.0.0.1:\(server.port)"))
        try await server.run(until: { for await _ in entered { break } })
        #expect(try await answer.status == 503)
    }

    @Test func tellsThatAPortIsTaken() throws {
        let first = try HTTPServer(HTTPServerConfiguration(), handler: { _ in .text("") })
        let error = #expect(throws: HTTPServerError.self) {
            _ = try HTTPServer(HTTPServerConfiguration(port: first.port), handler: { _ in .text("") })
        }
        #expect(error?.isPortTaken == true)
        #expect(error?.description.contains("port \(first.port)") == true)
    }
}
