import MessageLogs
import Testing

@Suite struct BatchTests {
    private func record(_ partition: Int32, _ offset: Int64) -> Record {
        Record(source: TopicPartition("t", partition), offset: offset, timestamp: 0, key: nil, value: nil)
    }

    @Test func nextOffsetsArePastTheLastRecordOfEachPartition() {
        let batch = Batch(records: [record(0, 4), record(1, 7), record(0, 5)])
        #expect(batch.nextOffsets == [TopicPartition("t", 0): 6, TopicPartition("t", 1): 8])
    }

    @Test func withoutAPartitionTheOthersStayInOrder() {
        let batch = Batch(records: [record(0, 4), record(1, 7), record(2, 1), record(1, 8)])
        let left = batch.without([TopicPartition("t", 0), TopicPartition("t", 2), TopicPartition("t", 9)])
        #expect(left.records == [record(1, 7), record(1, 8)])
        #expect(left.nextOffsets == [TopicPartition("t", 1): 9])
        #expect(batch.without([TopicPartition("u", 0)]).records == batch.records)
        #expect(batch.without(Set(batch.nextOffsets.keys)).records.isEmpty)
    }
}
