import Foundation
import HTTPClient
import Bytes
import Messages
import RandomNumbers
import ServiceRuntime
import Flows

/// Events, deletions and questions over HTTP, each written down before it is sent and after it is acknowledged.
///
/// Each sender has users of its own and waits for each reply; what has an unknown fate is sent again with the same ids.
struct FaultsLoad: Sendable {
    /// How much.
    struct Options: Sendable {
        var seed: UInt64 = 1
        var senders = 4
        var users = 120
        /// Events per second, all senders together.
        var rate = 250.0
        /// Questions per second.
        var questions = 1.0
        /// Who writes to the log itself, beside HTTP.
        var producers = ForeignProducer.allCases
        /// Events per second of each.
        var producerRate = 15.0
    }

    private enum Reply {
        case accepted
        case unknown
        case refused(String)
    }

    let system: LocalSystem
    let ledger: FaultsLedger
    /// Where those write that do not come over HTTP.
    let log: String
    let options: Options
    private let http = HTTPClient(maximumConnectionCount: 16)
    /// How long a request may be tried again once the faults are over.
    static let patience: Duration = .seconds(120)

    /// Sends until `shutdown`, and then until everything that was begun is acknowledged.
    func run(until shutdown: Shutdown) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            for sender in 0..<options.senders { group.addTask { try await send(sender, until: shutdown) } }
            group.addTask { try await ask(until: shutdown) }
            for producer in options.producers { group.addTask { try await produce(producer, until: shutdown) } }
            try await group.waitForAll()
        }
    }

    // MARK: - Events

    private func send(_ sender: Int, until shutdown: Shutdown) async throws {
        var random = SeededRandom(seed: SeededRandom.mix(options.seed, UInt64(sender), 7))
        let users = stride(from: sender, to: options.users, by: options.senders).map { UserID("v\($0)") }
        var count = 0
        var due = ContinuousClock.now
        while !shutdown.isRequested {
            if random.below(200) == 0 {
                // Every tenth user is one that may be forgotten.
                let forgettable = users.filter { Self.isForgettable($0) }
                try await forget(forgettable[random.below(forgettable.count)], shutdown)
            }
            let events = (0..<(1 + random.below(20))).map { _ in
                count += 1
                return event(users[random.below(users.count)], id: "s\(sender)-\(count)", &random)
            }
            try await send(events, shutdown)
            due = max(due, .now - .seconds(5)) + .seconds(Double(events.count * options.senders) / options.rate)
            try await shutdown.wait(atMost: due - .now)
        }
    }

    /// Whether the load may forget this user now and then.
    static func isForgettable(_ user: UserID) -> Bool { (Int(user.text.dropFirst()) ?? 0) / 4 % 10 == 3 }

    func event(_ user: UserID, id: String, _ random: inout SeededRandom) -> Event {
        Event(
            id: id,
            user: user,
            item: "f\(1 + random.below(300))",
            rating: random.below(4) == 0 ? nil : Float(1 + random.below(5)),
            time: WallClock.milliseconds
        )
    }

    private func send(_ events: [Event], _ shutdown: Shutdown) async throws {
        var body: [UInt8] = []
        for event in events { body += try event.encodedJSON() + [UInt8(ascii: "\n")] }
        await ledger.sends(events.map { ($0.id ?? "", $0.user) })
        let headers = [(name: "content-type", value: "application/x-ndjson")]
        try await request("POST", "/v1/events", headers: headers, body: body, shutdown)
        await ledger.acknowledges(events.compactMap(\.id))
    }

    private func forget(_ user: UserID, _ shutdown: Shutdown) async throws {
        try await request("DELETE", "/v1/users/\(user)", headers: [], body: nil, shutdown)
        await ledger.deletes(user)
    }

    /// Sends a request until it is acknowledged.
    private func request(
        _ method: String,
        _ path: String,
        headers: [(name: String, value: String)],
        body: [UInt8]?,
        _ shutdown: Shutdown
    ) async throws {
        var attempt = Int.random(in: 0..<100)
        var end: ContinuousClock.Instant?
        while true {
            let addresses = system.files?.ingestors ?? []
            if !addresses.isEmpty {
                let url = addresses[attempt % addresses.count] + path
                switch await reply(HTTPClientRequest(method, url, headers: headers, body: body, timeout: .seconds(4))) {
                case .accepted: return
                case .refused(let reason): throw VerificationError("\(method) \(path) was refused: \(reason)")
                case .unknown: await ledger.repeats()
                }
            }
            attempt += 1
            if shutdown.isRequested { end = end ?? .now + Self.patience }
            if let end, ContinuousClock.now > end {
                throw VerificationError("\(method) \(path) was not taken for \(Self.patience) after the last fault")
            }
            try await Task.sleep(for: .milliseconds(100))
        }
    }

    private func reply(_ request: HTTPClientRequest) async -> Reply {
        guard let response = try? await http.send(request) else { return .unknown }
        switch response.status {
        case 202: return .accepted
        case 408, 429, 500...: return .unknown
        default: return .refused("\(response.status) \(response.text)")
        }
    }

    // MARK: - Questions

    /// A question is asked once, whatever becomes of it: asked again it might be answered twice.
    private func ask(until shutdown: Shutdown) async throws {
        var random = SeededRandom(seed: SeededRandom.mix(options.seed, 99))
        while !shutdown.isRequested {
            try await shutdown.wait(atMost: .seconds(1 / options.questions))
            guard let gateway = system.files?.gateways.first else { continue }
            let now = WallClock.milliseconds
            let question = Question(
                id: QuestionID(UUID().uuidString.lowercased()),
                user: "v\(random.below(options.users))",
                text: "What will the user watch next?",
                form: .title,
                itemCount: 3,
                askedAt: now,
                deadline: now + 20_000
            )
            await ledger.asks(question.id)
            let request = HTTPClientRequest(
                "POST",
                "\(gateway)/v1/questions",
                headers: [("content-type", "application/json")],
                body: try question.encodedJSON(),
                timeout: .seconds(4)
            )
            if case .accepted = await reply(request) { await ledger.accepts(question.id) }
        }
    }
}
