import Bytes
import Messages
import PostgresClient
import ServiceRuntime
import Flows

/// Looks at rows while they are written: how long nothing moved, and whether an event count ever went back.
actor RowWatch {
    /// The longest pauses of a stretch of time.
    struct Pauses: Sendable {
        /// In which no row of any partition was written.
        var all: Duration = .zero
        /// In which no row of one partition was written, and which.
        var one: Duration = .zero
        var partition: Int32 = -1
    }

    private let connection: PostgresConnection
    private let version: String
    private var next: [Int32: Int64] = [:]
    private var lastMoves: [Int32: ContinuousClock.Instant] = [:]
    private var lastMove: ContinuousClock.Instant?
    private var pauses = Pauses()
    private var counts: [UserID: (generation: Int32, events: Int64)] = [:]
    /// Users whose row went back, a line each.
    private(set) var wentBack: [String] = []
    /// How often all rows were looked at.
    private(set) var looks = 0

    init(database: String, modelVersion: String) throws {
        connection = try PostgresConnection(address: database)
        version = modelVersion
    }

    /// Watches until `stop` is requested.
    func run(until stop: Shutdown) async throws {
        var looked = ContinuousClock.now
        while !stop.isRequested {
            try await lookAtOffsets()
            if ContinuousClock.now - looked > .milliseconds(500) {
                try await lookAtRows()
                looked = .now
            }
            try await Task.sleep(for: .milliseconds(20))
        }
        try await lookAtRows()
        await connection.close()
    }

    /// The longest pauses since this was last asked, the one that lasts now included.
    func takePauses() -> Pauses {
        let now = ContinuousClock.now
        note(now)
        for partition in lastMoves.keys { note(now, partition) }
        defer { pauses = Pauses() }
        return pauses
    }

    private func note(_ now: ContinuousClock.Instant) {
        if let lastMove { pauses.all = max(pauses.all, now - lastMove) }
    }

    private func note(_ now: ContinuousClock.Instant, _ partition: Int32) {
        guard let last = lastMoves[partition], now - last > pauses.one else { return }
        pauses.one = now - last
        pauses.partition = partition
    }

    /// Offsets move in the transaction that writes the rows.
    private func lookAtOffsets() async throws {
        let rows = try await connection.query(
            """
            SELECT partition, next_offset FROM public.user_embeddings_offsets
            WHERE group_name = $1 AND topic = $2 AND next_offset IS NOT NULL
            """,
            [.text(ConsumerGroup.embeddingWriter), .text(Topic.userEmbeddings.rawValue)],
            operation: "watching the writers' offsets"
        )
        let now = ContinuousClock.now
        var isMoved = false
        for row in 0..<rows.count {
            let (partition, offset) = (rows.int4(row, 0), rows.int8(row, 1))
            guard offset > next[partition] ?? -1 else { continue }
            next[partition] = offset
            note(now, partition)
            lastMoves[partition] = now
            isMoved = true
        }
        if isMoved {
            note(now)
            lastMove = now
        }
    }

    private func lookAtRows() async throws {
        let rows = try await connection.query(
            "SELECT user_id, generation, event_count FROM public.user_embeddings WHERE model_version = $1",
            [.text(version)],
            operation: "watching the rows"
        )
        for row in 0..<rows.count {
            let (user, found) = (UserID(rows.text(row, 0)), (generation: rows.int4(row, 1), events: rows.int8(row, 2)))
            if let before = counts[user], found < before {
                wentBack.append("\(user)'s row knew \(before.events) events, and then \(found.events)")
            }
            counts[user] = found
        }
        looks += 1
    }
}
