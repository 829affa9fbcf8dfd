import MessageLogs
import Testing

@Suite struct PartitionerTests {
    /// The values that Kafka's own tests hold `Utils.murmur2` to.
    @Test(
        arguments: [
            ("21", -973_932_308), ("foobar", -790_332_482), ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971), ("abc", 479_470_107),
        ] as [(String, Int32)]
    )
    func hashIsKafkas(key: String, expected: Int32) {
        #expect(Partitioner.hash(Array(key.utf8)) == expected)
    }

    @Test func negativeHashesGiveAPartition() {
        // -973932308 without its sign bit is 1173551340.
        #expect(Partitioner.partition(of: Array("21".utf8), count: 4) == 0)
        #expect(Partitioner.partition(of: Array("21".utf8), count: 7) == 1_173_551_340 % 7)
    }

    @Test func keysSpreadEvenly() {
        var counts = [Int](repeating: 0, count: 12)
        for user in 1...12_000 { counts[Int(Partitioner.partition(of: Array("\(user)".utf8), count: 12))] += 1 }
        #expect(counts.allSatisfy { (850...1_150).contains($0) }, "\(counts)")
    }
}
