internal import CRdkafka
internal import MessageLogs

/// Hands records to librdkafka; used by one thread at a time.
///
/// With headers the array form of `produce` is used, and they are one list: with single headers librdkafka 2.0.2 frees
/// them twice when its queue is full.
final class RecordSender {
    private let arguments = UnsafeMutablePointer<rd_kafka_vu_t>.allocate(capacity: 7)
    /// What an empty but present key or value points to; librdkafka takes a nil pointer to mean "none".
    private let nothing = UnsafeMutableRawPointer.allocate(byteCount: 1, alignment: 1)

    init() {
        nothing.storeBytes(of: 0, as: UInt8.self)
    }

    deinit {
        arguments.deallocate()
        nothing.deallocate()
    }

    /// The size that a broker's limit applies to.
    static func byteCount(of record: OutgoingRecord) -> Int {
        var count = (record.key?.count ?? 0) + (record.value?.count ?? 0)
        for header in record.headers { count += header.name.utf8.count + header.value.count + 4 }
        return count
    }

    /// An error for the first record that exceeds the producer's limit.
    static func checkSizes(
        _ records: [OutgoingRecord],
        configuration: KafkaConfiguration
    ) throws(StreamError) {
        let limit = configuration.maximumRecordSize
        for record in records {
            let byteCount = byteCount(of: record)
            guard byteCount <= limit else {
                throw .tooLarge(topic: record.topic, byteCount: byteCount, limit: limit)
            }
        }
    }

    /// Copies a record into the producer's queue.
    ///
    /// The tag is returned with the delivery report; 0 where there is none. Returns `queueFull` or another error, nil
    /// on success.
    func send(
        _ record: OutgoingRecord,
        topic: KafkaTopic,
        tag: UInt,
        by client: KafkaClient
    ) -> KafkaError? {
        guard !record.headers.isEmpty else { return sendPlain(record, topic: topic, tag: tag) }
        let headers = list(of: record.headers)
        let error = lend(record.key) { key in
            lend(record.value) { value in
                var count = 0
                func add(_ type: rd_kafka_vtype_t, _ fill: (inout rd_kafka_vu_t) -> Void) {
                    var argument = rd_kafka_vu_t()
                    argument.vtype = type
                    fill(&argument)
                    (arguments + count).initialize(to: argument)
                    count += 1
                }
                add(RD_KAFKA_VTYPE_RKT) { $0.u.rkt = topic.pointer }
                add(RD_KAFKA_VTYPE_MSGFLAGS) { $0.u.i = Int32(RD_KAFKA_MSG_F_COPY) }
                if let partition = record.partition {
                    add(RD_KAFKA_VTYPE_PARTITION) { $0.u.i32 = partition }
                }
                if let key {
                    add(RD_KAFKA_VTYPE_KEY) { $0.u.mem = .init(ptr: key.baseAddress, size: key.count) }
                }
                if let value {
                    add(RD_KAFKA_VTYPE_VALUE) { $0.u.mem = .init(ptr: value.baseAddress, size: value.count) }
                }
                add(RD_KAFKA_VTYPE_HEADERS) { $0.u.headers = headers }
                if tag != 0 { add(RD_KAFKA_VTYPE_OPAQUE) { $0.u.ptr = UnsafeMutableRawPointer(bitPattern: tag) } }
                return KafkaError(
                    taking: rd_kafka_produceva(client.handle, arguments, count),
                    operation: "produce to \(record.topic)"
                )
            }
        }
        if error != nil { rd_kafka_headers_destroy(headers) }
        return error
    }

    /// Most records have no headers, and need no list of arguments.
    private func sendPlain(_ record: OutgoingRecord, topic: KafkaTopic, tag: UInt) -> KafkaError? {
        let isTaken = lend(record.key) { key in
            lend(record.value) { value in
                rd_kafka_produce(
                    topic.pointer,
                    record.partition ?? RD_KAFKA_PARTITION_UA,
                    RD_KAFKA_MSG_F_COPY,
                    value?.baseAddress,
                    value?.count ?? 0,
                    key?.baseAddress,
                    key?.count ?? 0,
                    UnsafeMutableRawPointer(bitPattern: tag)
                ) == 0
            }
        }
        return isTaken ? nil : KafkaError(rd_kafka_last_error(), operation: "produce to \(record.topic)")
    }

    private func list(of headers: [Header]) -> OpaquePointer? {
        let list = rd_kafka_headers_new(headers.count)
        for header in headers {
            lend(header.value) { value in
                _ = rd_kafka_header_add(list, header.name, -1, value?.baseAddress, value?.count ?? 0)
            }
        }
        return list
    }

    private func lend<Value>(_ bytes: [UInt8]?, _ body: (UnsafeMutableRawBufferPointer?) -> Value) -> Value {
        guard let bytes else { return body(nil) }
        guard !bytes.isEmpty else { return body(UnsafeMutableRawBufferPointer(start: nothing, count: 0)) }
        return bytes.withUnsafeBytes { body(UnsafeMutableRawBufferPointer(mutating: $0)) }
    }
}
