internal import CRdkafka
internal import Glibc
internal import MessageLogs

/// Copies records out of librdkafka's messages.
///
/// They are copied at once, because one retained message keeps the broker's whole response in memory. The topic names
/// are cached, so that records share one string.
struct RecordReader {
    private var names: [String] = []

    /// Where a message comes from.
    mutating func source(of message: borrowing rd_kafka_message_t) -> TopicPartition {
        guard let topic = message.rkt, let name = rd_kafka_topic_name(topic) else {
            return TopicPartition("", message.partition)
        }
        // By content: a handle's address may be reused for another topic.
        if let known = names.first(where: { strcmp($0, name) == 0 }) { return TopicPartition(known, message.partition) }
        let new = String(cString: name)
        names.append(new)
        return TopicPartition(new, message.partition)
    }

    /// A copy of a message.
    func record(
        _ pointer: UnsafePointer<rd_kafka_message_t>,
        source: TopicPartition
    ) -> Record {
        let message = pointer.pointee
        var type = RD_KAFKA_TIMESTAMP_NOT_AVAILABLE
        let timestamp = rd_kafka_message_timestamp(pointer, &type)
        return Record(
            source: source,
            offset: message.offset,
            timestamp: timestamp,
            key: Self.bytes(message.key, message.key_len),
            value: Self.bytes(message.payload, message.len),
            headers: Self.headers(of: pointer)
        )
    }

    /// Whether a message was written only to end a transaction.
    func isFiller(_ pointer: UnsafePointer<rd_kafka_message_t>) -> Bool {
        let message = pointer.pointee
        guard message.key != nil, message.key_len == 0, message.payload == nil else { return false }
        return Self.headers(of: pointer).contains { $0.name == OutgoingRecord.fillerHeader }
    }

    private static func bytes(_ start: UnsafeRawPointer?, _ count: Int) -> [UInt8]? {
        start.map { Array(UnsafeRawBufferPointer(start: $0, count: count)) }
    }

    private static func headers(of message: UnsafePointer<rd_kafka_message_t>) -> [Header] {
        var list: OpaquePointer?
        guard rd_kafka_message_headers(message, &list) == RD_KAFKA_RESP_ERR_NO_ERROR, let list else { return [] }
        var headers: [Header] = []
        var name: UnsafePointer<CChar>?
        var value: UnsafeRawPointer?
        var size = 0
        while rd_kafka_header_get_all(list, headers.count, &name, &value, &size) == RD_KAFKA_RESP_ERR_NO_ERROR,
            let name
        {
            headers.append(Header(String(cString: name), bytes: bytes(value, size) ?? []))
        }
        return headers
    }
}

extension OutgoingRecord {
    fileprivate static let fillerHeader = "userllm-filler"

    /// A record that our readers skip; with a key, as compacted topics require, that no user has.
    static func filler(in partition: TopicPartition) -> OutgoingRecord {
        OutgoingRecord(
            topic: partition.topic,
            partition: partition.partition,
            key: [],
            value: nil,
            headers: [Header(fillerHeader, "")]
        )
    }
}
