import Synchronization
import TestSupport
import Testing

@testable import HTTPServer

/// More connections than there may be.
@Suite(.timeLimit(.minutes(15))) struct ConnectionLimitTests {
    private static let request = "GET /open HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"

    private static func limits(_ count: Int, perAddress: Int) -> (inout HTTPServerConfiguration) -> Void {
        { configuration in
            configuration.maximumConnectionCount = count
            configuration.maximumConnectionCountPerAddress = perAddress
            configuration.idleTimeout = .seconds(3_600)
        }
    }

    @Test(arguments: ["127.0.0.1", "127.0.0.9"])
    func idleConnectionsKeepNobodyOut(client: String) async throws {
        let server = RawServer()
        try await server.run(Self.limits(20, perAddress: 12)) { port in
            let idle = try (0..<300).map { _ in try RawConnection(port: port, from: "127.0.0.1") }
            // Some have begun a request and send nothing more.
            for (index, connection) in idle.enumerated() where index % 3 == 0 {
                try await connection.send(
                    index % 2 == 0 ? "GET /open HT" : "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Le"
                )
            }
            for _ in 0..<5 {
                #expect(try await RawConnection.exchange(Self.request, port: port, from: client).httpStatus == 200)
            }
            // The first made room for those behind them, the last of all is still there.
            #expect(try await idle[0].readToEnd().isEmpty)
            let last = try #require(idle.last)
            try await last.send(Self.request)
            #expect(try await last.readToEnd().httpStatus == 200)
        }
    }

    @Test func slowBodiesKeepNobodyOut() async throws {
        let server = RawServer()
        try await server.run(Self.limits(20, perAddress: 20)) { port in
            let slow = try (0..<100).map { _ in try RawConnection(port: port) }
            for connection in slow {
                try await connection.send("POST /slow HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nabc")
            }
            #expect(try await RawConnection.exchange(Self.request, port: port).httpStatus == 200)
        }
    }

    @Test func whenAllAreWorkedForNewOnesAreToldToComeAgain() async throws {
        let (entered, enter) = AsyncStream<Void>.makeStream()
        let (released, release) = AsyncStream<Never>.makeStream()
        let handler: HTTPHandler = { request in
            guard request.path == "/wait" else { return .text("\(request.client)") }
            enter.yield()
            for await _ in released {}
            return .text("waited")
        }
        try await withServer(Self.limits(6, perAddress: 4), handler: handler) { _, url in
            let port = try port(of: url)
            let waiting = try (0..<4).map { _ in try RawConnection(port: port, from: "127.0.0.2") }
            for connection in waiting { try await connection.send("GET /wait HTTP/1.1\r\nHost: localhost\r\n\r\n") }
            var entries = entered.makeAsyncIterator()
            for _ in waiting { await entries.next() }
            for _ in 0..<10 {
                let text = try await RawConnection.exchange(Self.request, port: port, from: "127.0.0.2")
                #expect(text.httpStatus == 503 && text.contains("Retry-After: 1"), "\(text)")
            }
            let other = try await RawConnection.exchange(Self.request, port: port, from: "127.0.0.3")
            #expect(other.hasSuffix("127.0.0.3"))
            release.finish()
            for connection in waiting { #expect(try await connection.read(until: "waited").httpStatus == 200) }
            #expect(try await RawConnection.exchange(Self.request, port: port, from: "127.0.0.2").httpStatus == 200)
        }
    }

    @Test func aConnectionMayAskAgainAndAgain() async throws {
        let server = RawServer()
        try await server.run(Self.limits(3, perAddress: 3)) { port in
            let connections = try (0..<3).map { _ in try RawConnection(port: port) }
            for round in 0..<50 {
                for connection in connections {
                    try await connection.send("GET /\(round) HTTP/1.1\r\nHost: localhost\r\n\r\n")
                    #expect(try await connection.read(until: "0 bytes").httpStatus == 200)
                }
            }
        }
    }
}

/// The table against a plain list.
@Suite struct ConnectionTableTests {
    private struct Model {
        var id: ConnectionTable.ID
        var client: IPAddress
        var descriptor: Int32
        var isBusy = false
        var isDropped = false
    }

    @Test(arguments: 0..<20)
    func agreesWithAPlainList(seed: Int) throws {
        var random = SystemRandomNumberGenerator()
        let (limit, limitPerClient) = (Int.random(in: 1...8, using: &random), Int.random(in: 1...8, using: &random))
        var table = ConnectionTable(maximumCount: limit, maximumCountPerClient: limitPerClient)
        // Those that are idle lie in the order in which they became so.
        var models: [Model] = []
        let clients = ["10.0.0.1", "10.0.0.2", "fe80::1", "fe80::2"].compactMap { IPAddress($0) }
        for step in 0..<2_000 {
            let index = models.indices.randomElement(using: &random)
            switch (Int.random(in: 0..<4, using: &random), index) {
            case (0, _), (_, nil):
                let address = try #require(clients.randomElement(using: &random))
                let client = address.client
                let live = models.filter { !$0.isDropped }
                let own = live.filter { $0.client == client }
                let isFull = own.count + 1 > limitPerClient
                let victims = (isFull ? own : live).filter { !$0.isBusy }
                let expected: ConnectionTable.Admission =
                    if !isFull, live.count + 1 <= limit {
                        .taken
                    } else if let victim = victims.first {
                        .takenInsteadOf(descriptor: victim.descriptor)
                    } else {
                        .refused
                    }
                let (id, admission) = table.open(descriptor: Int32(step), address: address)
                #expect(admission == expected)
                if case .takenInsteadOf(let descriptor) = admission {
                    for index in models.indices where models[index].descriptor == descriptor {
                        models[index].isDropped = true
                    }
                }
                models.append(Model(id: id, client: client, descriptor: Int32(step)))
            case (1, let index?):
                #expect(table.becomesBusy(models[index].id) == models[index].isDropped)
                models[index].isBusy = true
            case (2, let index?):
                table.becomesIdle(models[index].id)
                var model = models[index]
                guard model.isBusy else { continue }
                models.remove(at: index)
                model.isBusy = false
                models.append(model)
            case (_, let index?):
                let model = models.remove(at: index)
                table.close(model.id)
                #expect(table.hangUp(model.id) == nil && table.becomesBusy(model.id))
            }
            #expect(table.count == models.count { !$0.isDropped })
        }
    }

    @Test func oneNetworkIsOneClient() throws {
        let addresses = ["2001:db8::1", "2001:db8::ffff:1", "2001:db8:0:1::1", "::ffff:10.0.0.1", "10.0.0.1", "::1"]
        let clients = try addresses.map { try #require(IPAddress($0)).client }
        #expect(clients[0] == clients[1] && clients[1] != clients[2] && clients[3] == clients[4])
        #expect(
            clients.map(\.description) == ["2001:db8::", "2001:db8::", "2001:db8:0:1::", "10.0.0.1", "10.0.0.1", "::1"]
        )
    }
}
