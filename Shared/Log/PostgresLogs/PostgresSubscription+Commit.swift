import PostgresClient
import Concurrency
import Failpoints
import Foundation
import MessageLogs

extension PostgresSubscription {
    func commit(
        _ offsets: [TopicPartition: Int64],
        producing outputs: [OutgoingRecord]
    ) async throws(StreamError) {
        guard let group else { throw .configuration("a tail has no group to commit for") }
        guard !isClosed else { throw .closed }
        guard !offsets.isEmpty || outputs.isEmpty else { throw .ownerless(outputs.count) }
        do throws(StreamError) {
            // Sizes and topics are checked before anything is sent.
            let produced = try await log.batches(outputs).first ?? AppendBatch()
            if Protection.atomicCommit.isOff { return try await commitApart(offsets, outputs, group) }
            try await commit(offsets, produced, group)
        } catch {
            goBack(offsets.keys)
            throw error
        }
    }

    /// A commit without a transaction: a process that ends halfway has lost what the batch produced.
    private func commitApart(
        _ offsets: [TopicPartition: Int64],
        _ outputs: [OutgoingRecord],
        _ group: String
    ) async throws(StreamError) {
        try await commit(offsets, AppendBatch(), group)
        Failpoint.betweenOffsetsAndOutputs.reach()
        try await log.append(outputs)
    }

    /// Moves the group's offsets and appends, in one transaction.
    func commit(
        _ offsets: [TopicPartition: Int64],
        _ produced: AppendBatch,
        _ group: String
    ) async throws(StreamError) {
        guard !offsets.isEmpty else { return }
        var sources: [(identifier: Int32, epoch: Int64, committed: Int64?, next: Int64)] = []
        for (partition, next) in offsets {
            guard let identifier = identifier(of: partition), let place = places[identifier] else {
                throw .commitRefused("\(options.memberName) does not own \(partition) any more")
            }
            sources.append((identifier, place.epoch, place.committed, next))
        }
        guard let identifier else { throw .commitRefused("\(options.memberName) is no member of \(group) any more") }
        let order = sources.sorted { $0.identifier < $1.identifier }
        let parameters: [PostgresValue] =
            [
                .text(group), .int4(identifier), .int4s(order.map(\.identifier)), .int8s(order.map(\.epoch)),
                .int8s(order.map(\.committed)), .int8s(order.map(\.next)),
            ] + produced.parameters
        Failpoint.postgresBeforeCommit.reach()
        try await send(parameters, group)
        Failpoint.postgresAfterCommit.reach()
        for source in order { places[source.identifier]?.committed = source.next }
    }

    /// Runs one transaction.
    ///
    /// When the connection breaks before the reply, the database is queried whether it took effect.
    private func send(_ parameters: [PostgresValue], _ group: String) async throws(StreamError) {
        let deadline = ContinuousClock.now + settings.appendTimeout
        var backoff = Backoff.ofServer
        while true {
            let identifier = UUID().uuidString
            do throws(PostgresError) {
                _ = try await connection.query(
                    """
                    WITH known AS (INSERT INTO userllm_log.appends (id) VALUES ($14::text::uuid))
                    SELECT \(CheckedFunction.commitBatch.qualifiedName)(
                        $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
                    """,
                    parameters + [.text(identifier)],
                    operation: "committing a batch of group \(group)"
                )
                return
            } catch {
                guard error.kind == .connection || error.kind == .retry else { throw StreamError(error) }
                if error.isOutcomeUnknown {
                    let end = ContinuousClock.now + settings.readTimeout
                    let tookEffect = try await streaming { [connection] () async throws(PostgresError) in
                        try await connection.tookEffect(identifier, until: end)
                    }
                    if tookEffect { return }
                }
                guard ContinuousClock.now < deadline else { throw StreamError(error) }
            }
            try? await Task.sleep(for: backoff.next())
        }
    }

    /// Rewinds after a failed commit: the reader drops what it has made since, and continues from the last commit.
    ///
    /// The partitions are forgotten; the next check of the group returns those that are still this member's.
    private func goBack(_ partitions: some Sequence<TopicPartition>) {
        var again: [TopicPartition] = []
        for partition in partitions {
            guard let identifier = identifier(of: partition), places[identifier] != nil else { continue }
            places[identifier] = nil
            again.append(partition)
        }
        if !again.isEmpty { events.append(.revoked(again.inOrder(), lost: true)) }
        member.setShareDue()
    }
}

extension CheckedFunction {
    /// Commits offsets and outputs of a batch.
    static let commitBatch = CheckedFunction(
        schema: "userllm_log",
        name: "commit_batch",
        checks: [
            (
                .membershipCheck,
                "AND g.owner = p_member AND g.epoch = c.epoch AND g.next_offset IS NOT DISTINCT FROM c.expected"
            )
        ]
    )
}
