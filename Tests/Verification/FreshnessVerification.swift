public import Datasets
import Foundation
import Bytes
import Messages
import PostgresClient
import EmbeddingStore
import Flows
import SystemClient

/// Measures how long an accepted event takes to be in its user's row, and in the user's next answer.
public struct FreshnessVerification: Sendable {
    /// What came of it.
    public struct Result: Codable, Sendable {
        /// How many events were followed.
        public var events: Int
        /// From the moment the event was accepted until its row could be read, in milliseconds.
        public var eventToRow: Latencies
        /// From the moment the event was accepted until the end of an answer that knows it, in milliseconds.
        public var eventToAnswer: Latencies
        /// Answers that did not know the event; empty when all is right.
        public var mismatches: [String]
        /// Whether every next answer knew the event.
        public var isRight: Bool { mismatches.isEmpty }
    }

    private struct Followed: Sendable {
        let toRow: Duration
        let toAnswer: Duration
        let mismatch: String?
    }

    private let system: LocalSystem
    private let world: SyntheticWorld
    private let count: Int
    private let users: Int

    /// Prepares it.
    ///
    /// - Parameters:
    ///   - system: a system.
    ///   - world: whose viewers the events are of.
    ///   - count: how many events are followed, one after the other.
    ///   - users: how many users they are of; the first event of each is not counted, for a Kafka producer's first
    ///     transaction takes a second.
    public init(_ system: LocalSystem, world: SyntheticWorld, count: Int = 200, users: Int = 20) {
        self.system = system
        self.world = world
        self.count = count
        self.users = users
    }

    /// Runs it.
    public func run() async throws -> Result {
        let state = try system.state()
        let table = try await EmbeddingTable(database: state.database)
        let client = try system.client()
        // Users of this run alone: their counts begin at zero.
        let suffix = UUID().uuidString.prefix(6).lowercased()
        let histories = (0..<users).map { index in
            world.viewer(index).events.map { event in
                var event = event
                event.user = "\(event.user)-\(suffix)"
                event.id = nil
                return event
            }
        }
        var counts = Array(repeating: 0, count: users)
        var followed: [Followed] = []
        do {
            for index in 0..<(users + count) {
                let user = index % users
                let history = histories[user]
                counts[user] += 1
                let event = history[(counts[user] - 1) % history.count]
                let one = try await follow(event, count: counts[user], state.modelVersion, table, client)
                if index >= users { followed.append(one) }
            }
        } catch {
            await table.close()
            throw error
        }
        await table.close()
        return Result(
            events: followed.count,
            eventToRow: Latencies(followed.map(\.toRow)),
            eventToAnswer: Latencies(followed.map(\.toAnswer)),
            mismatches: followed.compactMap(\.mismatch)
        )
    }

    private func follow(
        _ event: Event,
        count: Int,
        _ version: String,
        _ table: EmbeddingTable,
        _ client: SystemClient
    ) async throws -> Followed {
        try await client.send([event])
        let accepted = ContinuousClock.now
        async let answer = ask(event.user, count: count, client)
        try await poll("\(event.user)'s row knows \(count) events", every: .milliseconds(1)) {
            try await table.row(user: event.user, modelVersion: version)?.eventCount ?? 0 >= UInt64(count)
        }
        let visible = ContinuousClock.now
        let (known, answered) = try await answer
        let mismatch =
            known == UInt64(count)
            ? nil : "an answer about \(event.user) knows \(known) events where \(count) were sent"
        return Followed(toRow: visible - accepted, toAnswer: answered - accepted, mismatch: mismatch)
    }

    /// Asks at once, and lets the responder wait for the row: read your own writes.
    private func ask(
        _ user: UserID,
        count: Int,
        _ client: SystemClient
    ) async throws -> (known: UInt64, at: ContinuousClock.Instant) {
        let now = WallClock.milliseconds
        let answer = try await client.ask(
            Question(
                id: QuestionID(UUID().uuidString.lowercased()),
                user: user,
                text: "What is the user's favourite genre?",
                form: .category,
                itemCount: 1,
                minimumEventCount: UInt64(count),
                askedAt: now,
                deadline: now + 600_000
            )
        )
        return (answer.eventCount, ContinuousClock.now)
    }
}
