import HTTPServer
import Testing

@testable import HTTPClient

@Suite(.timeLimit(.minutes(15))) struct HTTPClientTests {
    @Test func tellsThatNobodyListens() async throws {
        // The port is taken and given back, so that nobody has it.
        let port = try { try HTTPServer(HTTPServerConfiguration(), handler: { _ in .text("") }).port }()
        let client = HTTPClient()
        let error = await #expect(throws: HTTPClientError.self) {
            try await client.send(.init("GET", "http://127.0.0.1:\(port)/"))
        }
        #expect(error?.isConnectionFailure == true)
        #expect(error?.description.contains("http://127.0.0.1:\(port)/") == true)
    }

    @Test(arguments: ["file:///etc/passwd", "not a url", "http://"])
    func refusesWhatIsNoAddress(url: String) async {
        await #expect(throws: HTTPClientError.self) { try await HTTPClient().send(.init("GET", url)) }
    }

    @Test func endsWhenItsTaskIsCancelledOrItsTimeIsOver() async throws {
        let (entered, enter) = AsyncStream<String>.makeStream()
        let server = try HTTPServer(HTTPServerConfiguration()) { request in
            enter.yield(request.path)
            try? await Task.sleep(for: .seconds(3_600))
            return .text("late")
        }
        let url = "http://127.0.0.1:\(server.port)"
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await server.run(until: { try? await Task.sleep(for: .seconds(3_600)) }) }
            let client = HTTPClient()
            // Its time may be over before it comes to the server.
            await #expect(throws: HTTPClientError.self) {
                try await client.send(.init("GET", "\(url)/late", timeout: .milliseconds(50)))
            }
            await withTaskGroup(of: Bool.self) { inner in
                inner.addTask { (try? await client.send(.init("GET", "\(url)/cancelled"))) == nil }
                for await path in entered where path == "/cancelled" { break }
                inner.cancelAll()
                for await failed in inner { #expect(failed) }
            }
            group.cancelAll()
            try await group.waitForAll()
        }
    }

    @Test func findsEventsInAnyPiecesOfAStream() {
        let text = ": hello\r\nevent: token\r\ndata: a\r\ndata:b\r\n\r\ndata: {\"x\":1}\n\nid: 3\n\ndata: ü\n\nrest"
        let whole = [
            ServerSentEvent(name: "token", data: "a\nb"), ServerSentEvent(name: "message", data: "{\"x\":1}"),
            ServerSentEvent(name: "message", data: "ü"),
        ]
        for size in 1...Array(text.utf8).count {
            var parser = ServerSentEventParser()
            var events: [ServerSentEvent] = []
            var rest = Array(text.utf8)[...]
            while !rest.isEmpty {
                events += parser.append(Array(rest.prefix(size)))
                rest = rest.dropFirst(size)
            }
            #expect(events == whole)
        }
    }
}
