import CRdkafka
import Concurrency
import Foundation
import MessageLogs

@testable import KafkaLogs

/// What a stopped process still knows of its group: the member name and generation it had.
actor StaleMember {
    private let executor = BlockingExecutor(label: "stale.member")
    nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

    private let member: GroupMember

    init(of subscription: KafkaSubscription) throws {
        guard let member = GroupMember(of: subscription.client) else { throw StreamError.closed }
        self.member = member
    }

    /// Tries to commit as that member, and tells the code of the refusal; `noError` when it was taken.
    func commit(_ batch: Batch, address: String) throws -> KafkaError.Code {
        let producer = try TransactionalProducer(
            KafkaConfiguration(address: address),
            id: "stale-\(UUID().uuidString)",
            timeout: .seconds(8),
            deadline: .now + .seconds(30)
        )
        do throws(TransactionFailure) {
            try producer.run([], offsets: PartitionList(batch.nextOffsets), member: member.metadata)
            return .noError
        } catch {
            guard case .aborted(let error) = error else { throw error }
            return error.code
        }
    }
}
