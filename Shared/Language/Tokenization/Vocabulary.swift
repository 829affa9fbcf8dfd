/// The bytes of each token, and the token of given bytes.
struct Vocabulary: Sendable {
    /// The bytes of each token id; nil where an id is unused or belongs to an added token only.
    let tokenBytes: [[UInt8]?]
    /// The id at each place of a table with open addressing; -1 where there is none.
    private var slots: [Int32]

    init(_ tokenBytes: [[UInt8]?]) {
        self.tokenBytes = tokenBytes
        var size = 64
        while size < 2 * tokenBytes.count { size *= 2 }
        slots = Array(repeating: -1, count: size)
        for (id, bytes) in tokenBytes.enumerated() {
            guard let bytes else { continue }
            let place = bytes.withUnsafeBufferPointer { self.place(of: $0) }
            // Two ids with the same bytes: the last one, as in a dictionary that is filled in order.
            slots[place] = Int32(id)
        }
    }

    /// The token of these bytes; nil when there is none.
    func id(of bytes: UnsafeBufferPointer<UInt8>) -> Int32? {
        let id = slots[place(of: bytes)]
        return id < 0 ? nil : id
    }

    /// The token of these bytes; nil when there is none.
    func id(of bytes: [UInt8]) -> Int32? { bytes.withUnsafeBufferPointer { id(of: $0) } }

    /// Where the token of these bytes stands, or the free place for it.
    ///
    /// Half of the places are free, so there is one.
    private func place(of bytes: UnsafeBufferPointer<UInt8>) -> Int {
        let mask = slots.count - 1
        var place = Int(truncatingIfNeeded: ByteHash.hash(bytes)) & mask
        while slots[place] >= 0 {
            if let known = tokenBytes[Int(slots[place])], known.elementsEqual(bytes) { break }
            place = (place + 1) & mask
        }
        return place
    }
}

/// A hash of bytes for tables in memory.
///
/// Its key is drawn once per process, so that nobody can choose texts that fall on one place of a table.
enum ByteHash {
    private static let key = UInt64.random(in: .min ... .max)
    /// An odd number without structure: the fraction of the golden ratio.
    private static let factor: UInt64 = 0x9E37_79B9_7F4A_7C15

    static func hash(_ bytes: UnsafeBufferPointer<UInt8>) -> UInt64 {
        var hash = key ^ UInt64(truncatingIfNeeded: bytes.count)
        let raw = UnsafeRawBufferPointer(bytes)
        var place = 0
        while place + 8 <= raw.count {
            hash = mix(hash ^ raw.loadUnaligned(fromByteOffset: place, as: UInt64.self))
            place += 8
        }
        var rest: UInt64 = 0
        while place < raw.count {
            rest = rest << 8 | UInt64(raw[place])
            place += 1
        }
        return mix(hash ^ rest)
    }

    static func hash(_ number: UInt64) -> UInt64 { mix(number ^ key) }

    private static func mix(_ value: UInt64) -> UInt64 {
        let product = (value ^ key &* factor).multipliedFullWidth(by: factor)
        return product.high ^ product.low
    }
}
