internal import CRdkafka
internal import Foundation
internal import MessageLogs

/// Owner of one of librdkafka's lists of partitions; used by one thread at a time.
final class PartitionList {
    /// A partition of the list.
    struct Element: Sendable {
        var partition: TopicPartition
        var offset: Int64
        var error: KafkaError.Code
        /// The text that was committed beside the offset.
        var metadata: String
    }

    /// Lent to calls of librdkafka; valid as long as this object.
    let pointer: UnsafeMutablePointer<rd_kafka_topic_partition_list_t>

    /// Takes over a list that librdkafka made.
    init(taking pointer: UnsafeMutablePointer<rd_kafka_topic_partition_list_t>) {
        self.pointer = pointer
    }

    /// Makes a list of offsets, each with a text to be committed beside it.
    convenience init(_ offsets: [TopicPartition: Int64], metadata: String? = nil) {
        self.init(taking: rd_kafka_topic_partition_list_new(Int32(clamping: offsets.count)))
        for (partition, offset) in offsets {
            guard let added = rd_kafka_topic_partition_list_add(pointer, partition.topic, partition.partition) else {
                continue
            }
            added.pointee.offset = offset
            if let metadata {
                // The list frees it, so it must come from malloc.
                added.pointee.metadata = UnsafeMutableRawPointer(strdup(metadata))
                added.pointee.metadata_size = metadata.utf8.count
            }
        }
    }

    /// Makes a list of partitions without offsets.
    convenience init(_ partitions: some Sequence<TopicPartition>) {
        self.init(Dictionary(uniqueKeysWithValues: Set(partitions).map { ($0, Int64(RD_KAFKA_OFFSET_INVALID)) }))
    }

    deinit {
        rd_kafka_topic_partition_list_destroy(pointer)
    }

    /// Copies of the list's partitions.
    var elements: [Element] { Self.elements(of: pointer) }

    /// Copies the partitions of a list that stays librdkafka's.
    static func elements(of list: UnsafePointer<rd_kafka_topic_partition_list_t>) -> [Element] {
        (0..<Int(list.pointee.cnt)).map { index in
            let element = list.pointee.elems[index]
            let metadata = element.metadata.map { metadata in
                String(decoding: UnsafeRawBufferPointer(start: metadata, count: element.metadata_size), as: UTF8.self)
            }
            return Element(
                partition: TopicPartition(String(cString: element.topic), element.partition),
                offset: element.offset,
                error: KafkaError.Code(element.err),
                metadata: metadata ?? ""
            )
        }
    }
}
