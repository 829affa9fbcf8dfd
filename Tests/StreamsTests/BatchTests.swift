import Streams
import Testing

@Suite struct BatchTests {
    private func batch(_ counts: [Int]) -> Batch {
        var records: [Record] = []
        for offset in 0..<(counts.max() ?? 0) {
            for (partition, count) in counts.enumerated() where offset < count {
                records.append(
                    Record(
                        source: TopicPartition("t", Int32(partition)),
                        offset: Int64(offset),
                        timestamp: 0,
                        key: nil,
                        value: nil
                    )
                )
            }
        }
        return Batch(records: records)
    }

    @Test(arguments: [[1], [5, 3], [7, 7, 7, 7, 7], [100, 1, 1, 1], [2, 0, 9, 4, 0, 3, 8, 8]], [1, 2, 4, 9])
    func partsHaveWholePartitionsAndLoseNothing(counts: [Int], limit: Int) {
        let batch = batch(counts)
        let parts = batch.parts(atMost: limit)
        #expect(parts.count == min(limit, batch.nextOffsets.count))
        #expect(parts.reduce(0) { $0 + $1.records.count } == batch.records.count)
        #expect(parts.reduce(0) { $0 + $1.nextOffsets.count } == batch.nextOffsets.count)
        for part in parts {
            #expect(!part.records.isEmpty)
            for (partition, next) in part.nextOffsets {
                #expect(next == batch.nextOffsets[partition])
                let offsets = part.records.filter { $0.source == partition }.map(\.offset)
                #expect(offsets == Array(0..<next))
            }
        }
        let largest = batch.nextOffsets.values.max() ?? 0
        let even = (batch.records.count + parts.count - 1) / parts.count
        #expect(parts.allSatisfy { $0.records.count <= even + Int(largest) })
    }
}
