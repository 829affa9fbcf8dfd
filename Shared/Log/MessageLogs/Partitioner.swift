/// Which partition a key belongs to: the 32-bit murmur2 hash, as Kafka's Java clients and librdkafka's `murmur2` use
/// it.
///
/// Not all other producers agree; the encoder worker reroutes records that they put elsewhere.
public enum Partitioner {
    /// The partition of a key in a topic of `count` partitions.
    public static func partition(of key: [UInt8], count: Int32) -> Int32 {
        precondition(count > 0, "a topic has at least one partition, not \(count)")
        return (hash(key) & 0x7FFF_FFFF) % count
    }

    /// The hash of a key, signed as in Java.
    ///
    /// - Source: MurmurHash2 of Austin Appleby (public domain), with the seed of Kafka's `Utils.murmur2`.
    public static func hash(_ key: [UInt8]) -> Int32 {
        let multiplier: UInt32 = 0x5BD1_E995
        var hash: UInt32 = 0x9747_B28C ^ UInt32(truncatingIfNeeded: key.count)
        let wordCount = key.count / 4
        for word in 0..<wordCount {
            let at = word * 4
            var k =
                UInt32(key[at]) | UInt32(key[at + 1]) << 8 | UInt32(key[at + 2]) << 16 | UInt32(key[at + 3]) << 24
            k = k &* multiplier
            k ^= k >> 24
            hash = (hash &* multiplier) ^ (k &* multiplier)
        }
        let rest = wordCount * 4
        if rest < key.count {
            for at in rest..<key.count { hash ^= UInt32(key[at]) << (8 * UInt32(at - rest)) }
            hash = hash &* multiplier
        }
        hash ^= hash >> 13
        hash = hash &* multiplier
        hash ^= hash >> 15
        return Int32(bitPattern: hash)
    }
}
