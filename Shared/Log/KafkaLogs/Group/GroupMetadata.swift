internal import CRdkafka
internal import MessageLogs

/// Owner of librdkafka's description of a group and, where it has one, of a member and its generation.
final class GroupMetadata {
    /// Lent to calls of librdkafka; valid as long as this object.
    let pointer: OpaquePointer

    /// Reads what a client is in its group; nil without a group.
    convenience init?(of client: KafkaClient) {
        self.init(taking: rd_kafka_consumer_group_metadata(client.handle))
    }

    /// Names a group and no member, so brokers do not check who commits.
    static func naming(_ group: String) throws(TransactionFailure) -> GroupMetadata {
        guard let metadata = GroupMetadata(taking: rd_kafka_consumer_group_metadata_new(group)) else {
            throw .invalid(.fatal("librdkafka could not describe the group \(group)"))
        }
        return metadata
    }

    private init?(taking pointer: OpaquePointer?) {
        guard let pointer else { return nil }
        self.pointer = pointer
    }

    deinit {
        rd_kafka_consumer_group_metadata_destroy(pointer)
    }
}
