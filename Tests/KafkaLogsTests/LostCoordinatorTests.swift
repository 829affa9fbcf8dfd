import CRdkafka
import Concurrency
import Foundation
import MessageLogs
import Testing

@testable import KafkaLogs

/// A group whose coordinator is away while a transaction's offsets are to be sent to it.
@Suite(.timeLimit(.minutes(2))) struct LostCoordinatorTests {
    /// librdkafka would wait for it without limit (confluentinc/librdkafka#5456).
    @Test func aTransactionEndsWhoseGroupHasNoCoordinator() async throws {
        let cluster = try MockedCluster(brokers: 2)
        cluster.coordinate(transactions: "member", by: 1)
        cluster.coordinate(group: "group", by: 2)
        let member = OffsetsSender()
        #expect(try await member.commit(to: "group", id: "member", cluster.address) == nil)
        cluster.setDown(2)
        let failure = try await member.commit(to: "group", id: "member", cluster.address)
        guard case .unknown(let error) = try #require(failure) else {
            Issue.record("\(String(describing: failure))")
            return
        }
        #expect(error.code == .timedOut)
        // With another producer, as after every failure of this kind.
        cluster.setUp(2)
        #expect(try await member.commit(to: "group", id: "member", cluster.address) == nil)
    }
}

/// Sends offsets of no member in transactions of a producer that is opened anew each time, on a thread that may block.
private actor OffsetsSender {
    private let executor = BlockingExecutor(label: "offsets.sender")
    nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

    func commit(to group: String, id: String, _ address: String) throws -> TransactionFailure? {
        let producer = try TransactionalProducer(
            KafkaConfiguration(address: address),
            id: id,
            timeout: .seconds(2),
            deadline: .now + .seconds(60)
        )
        do throws(TransactionFailure) {
            let offsets = PartitionList([TopicPartition("events", 0): 1])
            try producer.run([], offsets: offsets, member: try .naming(group))
            return nil
        } catch {
            return error
        }
    }
}
