internal import CRdkafka
internal import Concurrency

/// A group's offsets on their way into a transaction.
///
/// librdkafka does not keep the time limit of this call: when it loses the question who coordinates the group, as it does
/// while that broker is away or just back, the call waits for the next connection to open or close, without limit
/// (confluentinc/librdkafka#5456, open as of 2.14). A thread that called it would never come back. So the call has a
/// thread of its own and is left behind when it is late. What it reads, and the client, live until it returns.
///
/// `@unchecked Sendable`: it hands its parts to one call at a time, and librdkafka may be called from any thread.
final class OffsetsOfTransaction: @unchecked Sendable {
    /// How long a call may be late.
    private static let grace: Duration = .seconds(1)

    private let client: KafkaClient
    private let offsets: PartitionList
    private let metadata: GroupMetadata

    init(_ client: KafkaClient, _ offsets: PartitionList, _ metadata: GroupMetadata) {
        self.client = client
        self.offsets = offsets
        self.metadata = metadata
    }

    /// Adds the offsets to the client's transaction.
    ///
    /// After a time-out the call may still be under way, and the client must not be used any more.
    func send(_ operation: String, within milliseconds: Int32) -> KafkaError? {
        let limit = ContinuousClock.now + .milliseconds(Int64(milliseconds)) + Self.grace
        let result = BoundedCall.run(until: limit) { [self] in
            KafkaError(
                taking: rd_kafka_send_offsets_to_transaction(
                    client.handle,
                    offsets.pointer,
                    metadata.pointer,
                    milliseconds
                ),
                operation: operation
            )
        }
        return switch result {
        case .returned(let error): error
        case .leftBehind: KafkaError(RD_KAFKA_RESP_ERR__TIMED_OUT, operation: operation)
        }
    }
}
