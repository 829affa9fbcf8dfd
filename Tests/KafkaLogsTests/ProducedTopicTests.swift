import CRdkafka
import MessageLogs
import Testing

@testable import KafkaLogs

/// Which records a producer holds back until their partition knows it.
@Suite struct ProducedTopicTests {
    private let client: KafkaClient
    private let topic: ProducedTopic
    private let start = ContinuousClock.now

    init() throws {
        // No broker is needed for a topic's handle.
        client = try KafkaClient(KafkaConfiguration(address: "kafka://127.0.0.1:1"), role: .appender, name: "test")
        let pointer = try #require(rd_kafka_topic_new(client.handle, "events", nil))
        topic = ProducedTopic(KafkaTopic(taking: pointer, name: "events"), partitionCount: 4, at: start)
    }

    @Test func aNewPartitionGetsOneRecord() {
        #expect(topic.admits(2))
        topic.noteSent(to: 2)
        #expect(!topic.admits(2))
        #expect(topic.admits(1), "others are not held up")
        #expect(topic.introducedCount == 1)
    }

    @Test func aPartitionThatHasAcknowledgedGetsMany() {
        topic.noteSent(to: 2)
        topic.noteReport(of: 2, isDelivered: true)
        for _ in 0..<10 {
            #expect(topic.admits(2))
            topic.noteSent(to: 2)
        }
        #expect(topic.introducedCount == 0)
    }

    @Test func aPartitionThatHasFailedIsStillNew() {
        topic.noteSent(to: 2)
        topic.noteReport(of: 2, isDelivered: false)
        #expect(topic.admits(2))
        topic.noteSent(to: 2)
        #expect(!topic.admits(2))
        #expect(topic.introducedCount == 1)
    }

    /// Brokers forget producers that are silent.
    @Test func aPartitionThatWasSentNothingForLongIsNewAgain() {
        for partition: Int32 in 1...2 {
            topic.noteSent(to: partition)
            topic.noteReport(of: partition, isDelivered: true)
        }
        topic.count(4, at: start + .seconds(31))
        topic.noteSent(to: 2)
        topic.count(4, at: start + .seconds(62))
        topic.noteSent(to: 2)
        #expect(topic.admits(2))
        topic.noteSent(to: 1)
        #expect(!topic.admits(1))
    }

    @Test func aTopicThatWasSentNothingForLongIsNewAgain() {
        topic.noteSent(to: 2)
        topic.noteReport(of: 2, isDelivered: true)
        topic.count(nil, at: start + .seconds(61))
        topic.noteSent(to: 2)
        #expect(!topic.admits(2))
    }

    @Test func aPartitionThatDoesNotExistIsLeftToLibrdkafka() {
        for partition: Int32 in [-1, 4, .max, .min] {
            topic.noteSent(to: partition)
            topic.noteReport(of: partition, isDelivered: false)
            #expect(topic.admits(partition))
        }
        #expect(topic.introducedCount == 0)
    }

    @Test func keysGoWhereOtherProducersPutThem() {
        for key in ["", "a", "user-17", "Zoë"].map({ Array($0.utf8) }) {
            let record = OutgoingRecord(topic: "events", key: key, value: nil)
            let expected = key.withUnsafeBytes {
                rd_kafka_msg_partitioner_murmur2(topic.topic.pointer, $0.baseAddress, key.count, 4, nil, nil)
            }
            #expect(topic.partition(of: record, tag: 1) == expected)
        }
        let named = OutgoingRecord(topic: "events", partition: 3, key: [1], value: nil)
        #expect(topic.partition(of: named, tag: 1) == 3)
    }

    @Test func recordsWithoutKeysUseAllPartitions() {
        let record = OutgoingRecord(topic: "events", key: nil, value: [1])
        #expect(Set((1...8).map { topic.partition(of: record, tag: $0) }) == [0, 1, 2, 3])
        #expect(topic.partition(of: record, tag: .max) == 3)
    }

    @Test func partitionsThatAreAddedAreNew() {
        topic.noteSent(to: 2)
        topic.noteReport(of: 2, isDelivered: true)
        #expect(!topic.isOutdated(at: start + .seconds(30)))
        #expect(topic.isOutdated(at: start + .seconds(31)))
        topic.count(6, at: start + .seconds(31))
        #expect(!topic.isOutdated(at: start + .seconds(60)))
        topic.noteSent(to: 2)
        topic.noteSent(to: 5)
        #expect(topic.admits(2))
        #expect(!topic.admits(5))
        topic.count(nil, at: start + .seconds(62))
        #expect(!topic.admits(5))
    }
}
