internal import CRdkafka

/// Owner of a topic of one instance.
///
/// `@unchecked Sendable`: the handle is thread-safe, as its instance is.
final class KafkaTopic: @unchecked Sendable {
    /// The topic in its instance.
    let pointer: OpaquePointer
    /// Its name.
    let name: String

    /// Takes over a topic that librdkafka made.
    init(taking pointer: OpaquePointer, name: String) {
        self.pointer = pointer
        self.name = name
    }

    deinit {
        rd_kafka_topic_destroy(pointer)
    }
}
