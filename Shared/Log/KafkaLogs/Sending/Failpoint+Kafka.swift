import Failpoints

extension Failpoint {
    /// A transaction of Kafka has begun.
    static var kafkaAfterBegin: Failpoint { Failpoint("kafka.after-begin") }
    /// The records of a transaction of Kafka were handed to the client; they need not all be sent.
    static var kafkaAfterRecords: Failpoint { Failpoint("kafka.after-records") }
    /// The offsets are in the transaction, which is still open.
    static var kafkaAfterOffsets: Failpoint { Failpoint("kafka.after-offsets") }
    /// The transaction is committed; the flow does not know it.
    static var kafkaAfterCommit: Failpoint { Failpoint("kafka.after-commit") }
}
