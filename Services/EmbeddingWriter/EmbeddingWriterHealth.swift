import ServiceRuntime

/// The readiness conditions of the writer.
struct EmbeddingWriterHealth: Sendable {
    private let partitions: HealthCondition
    private let database: HealthCondition

    /// Adds the conditions.
    init(_ health: Health) {
        partitions = health.condition("partitions assigned", waitingFor: "no partitions are assigned")
        database = health.condition("database reachable", waitingFor: "it was not asked yet")
    }

    /// Reports how many partitions are owned.
    func partitionsOwned(_ count: Int) {
        if count == 0 { partitions.fails("no partitions are assigned") } else { partitions.holds() }
    }

    /// Reports that the database answered.
    func databaseAnswers() { database.holds() }

    /// Reports that the database did not answer, and why.
    func databaseFails(_ reason: String) { database.fails(reason) }
}
