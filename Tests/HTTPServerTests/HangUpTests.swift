import HTTPClient
import Synchronization
import TestSupport
import Testing

@testable import HTTPServer

/// Clients that go before they have their answer.
@Suite(.timeLimit(.minutes(15))) struct HangUpTests {
    enum End: CaseIterable {
        case close, reset, shutdownSending
    }

    /// Waits until its task is cancelled, and tells so.
    private func waiting(_ entered: AsyncStream<Void>.Continuation, _ cancelled: AsyncStream<Void>.Continuation)
        -> HTTPHandler
    {
        { request in
            guard request.path == "/wait" else { return .text("here") }
            entered.yield()
            try? await Task.sleep(for: .seconds(3_600))
            if Task.isCancelled { cancelled.yield() }
            return .text("late")
        }
    }

    private func end(_ connection: RawConnection, _ end: End) {
        switch end {
        case .close: connection.close()
        case .reset: connection.reset()
        case .shutdownSending: connection.shutdownSending()
        }
    }

    /// A connection that the server has room for: one that has gone may keep its place for a moment.
    private func admitted(port: Int) async throws -> RawConnection {
        while true {
            let connection = try RawConnection(port: port)
            try await connection.send("GET /here HTTP/1.1\r\nHost: localhost\r\n\r\n")
            if try await connection.read(until: "\r\n\r\nhere").hasSuffix("\r\n\r\nhere") { return connection }
            connection.close()
            try await Task.sleep(for: .milliseconds(5))
        }
    }

    @Test(arguments: End.allCases)
    func theTaskOfARequestIsCancelledAndItsConnectionClosed(how: End) async throws {
        let (entered, enter) = AsyncStream<Void>.makeStream()
        let (cancelled, cancel) = AsyncStream<Void>.makeStream()
        try await withServer(handler: waiting(enter, cancel)) { _, url in
            let connection = try RawConnection(port: try port(of: url))
            try await connection.send("GET /wait HTTP/1.1\r\nHost: localhost\r\n\r\n")
            for await _ in entered { break }
            end(connection, how)
            for await _ in cancelled { break }
            // A client that only sends no more still sees the end, and no answer.
            if how == .shutdownSending { #expect(try await connection.readToEnd().isEmpty) }
        }
    }

    /// Many more than there may be connections: each that goes makes room for the next.
    @Test func hundredsThatGoStarveNobody() async throws {
        let (entered, enter) = AsyncStream<Void>.makeStream()
        let (cancelled, cancel) = AsyncStream<Void>.makeStream()
        let limit: (inout HTTPServerConfiguration) -> Void = {
            $0.maximumConnectionCount = 40
            $0.maximumConnectionCountPerAddress = 40
        }
        try await withServer(limit, handler: waiting(enter, cancel)) { _, url in
            let port = try port(of: url)
            var entries = entered.makeAsyncIterator()
            var cancellations = cancelled.makeAsyncIterator()
            for _ in 0..<15 {
                var connections: [RawConnection] = []
                for _ in 0..<20 { connections.append(try await admitted(port: port)) }
                for connection in connections {
                    try await connection.send("GET /wait HTTP/1.1\r\nHost: localhost\r\n\r\n")
                }
                for _ in connections { await entries.next() }
                for connection in connections { connection.close() }
                for _ in connections { await cancellations.next() }
            }
            let request = "GET /here HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
            #expect(try await RawConnection.exchange(request, port: port).hasSuffix("here"))
        }
    }

    @Test(arguments: End.allCases)
    func aStreamWithoutNewsEnds(how: End) async throws {
        let (cancelled, cancel) = AsyncStream<Void>.makeStream()
        let handler: HTTPHandler = { _ in
            .serverSentEvents { writer in
                try await writer.send(data: "first")
                try? await Task.sleep(for: .seconds(3_600))
                if Task.isCancelled, writer.isClosed { cancel.yield() }
            }
        }
        try await withServer(handler: handler) { _, url in
            let connection = try RawConnection(port: try port(of: url))
            try await connection.send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            _ = try await connection.read(until: "first")
            end(connection, how)
            for await _ in cancelled { break }
            if how == .shutdownSending { _ = try await connection.readToEnd() }
        }
    }

    @Test func aRequestWhoseClientIsGoneAlreadyIsNotWorkedOnForLong() async throws {
        let (_, enter) = AsyncStream<Void>.makeStream()
        let (_, cancel) = AsyncStream<Void>.makeStream()
        try await withServer(handler: waiting(enter, cancel)) { client, url in
            let port = try port(of: url)
            for _ in 0..<200 {
                let connection = try RawConnection(port: port)
                try await connection.send("GET /wait HTTP/1.1\r\nHost: localhost\r\n\r\n")
                connection.close()
            }
            // The stop would wait for those that are still worked on, and cut them only after its own patience.
            #expect(try await client.send(.init("GET", "\(url)/here")).status == 200)
        }
    }

    @Test func whatIsPipelinedBehindAWaitingRequestIsNoHangUp() async throws {
        let (released, release) = AsyncStream<Never>.makeStream()
        let handler: HTTPHandler = { request in
            if request.path == "/wait" { for await _ in released {} }
            return .text("\(request.path) \(Task.isCancelled)")
        }
        try await withServer(handler: handler) { _, url in
            let connection = try RawConnection(port: try port(of: url))
            let second = "GET /second HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
            try await connection.send("GET /wait HTTP/1.1\r\nHost: localhost\r\n\r\n\(second)")
            release.finish()
            let text = try await connection.readToEnd()
            #expect(text.contains("/wait false") && text.contains("/second false"))
        }
    }
}
