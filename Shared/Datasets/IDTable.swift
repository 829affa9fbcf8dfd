internal import InputFiles

/// Numbers ids in the order they first occur, without a `String` for each time that one is seen.
struct IDTable: Sendable {
    /// The ids' bytes one after the other, and where each ends.
    private var bytes: [UInt8] = []
    private var ends: [Int] = []
    private var hashes: [UInt32] = []
    /// A hash table with open addressing, whose size is a power of two; -1 is a free place.
    private var places = [Int32](repeating: -1, count: 1 << 10)

    /// How many ids there are.
    var count: Int { ends.count }

    /// The number of an id, which is added when it is new.
    mutating func number(of id: [UInt8], _ range: Range<Int>) -> Int {
        let hash = Self.hash(id, range)
        let place = place(of: id, range, hash)
        if places[place] >= 0 { return Int(places[place]) }
        bytes.append(contentsOf: id[range])
        ends.append(bytes.count)
        hashes.append(hash)
        places[place] = Int32(count - 1)
        if count * 2 > places.count { grow() }
        return count - 1
    }

    /// The number of an id; nil when the table does not have it.
    func knownNumber(of id: [UInt8], _ range: Range<Int>) -> Int? {
        let number = places[place(of: id, range, Self.hash(id, range))]
        return number >= 0 ? Int(number) : nil
    }

    /// The id with this number, nil when it is not UTF-8.
    func text(_ number: Int) -> String? { String(validating: bytes[range(number)], as: UTF8.self) }

    private func range(_ number: Int) -> Range<Int> { (number == 0 ? 0 : ends[number - 1])..<ends[number] }

    /// Where the id is in the hash table, or would be.
    private func place(of id: [UInt8], _ range: Range<Int>, _ hash: UInt32) -> Int {
        let mask = places.count - 1
        var place = Int(hash) & mask
        while places[place] >= 0 {
            let number = Int(places[place])
            if hashes[number] == hash, bytes.hasSameBytes(self.range(number), as: id, range) { return place }
            place = (place + 1) & mask
        }
        return place
    }

    private mutating func grow() {
        places = [Int32](repeating: -1, count: places.count * 2)
        let mask = places.count - 1
        for (number, hash) in hashes.enumerated() {
            var place = Int(hash) & mask
            while places[place] >= 0 { place = (place + 1) & mask }
            places[place] = Int32(number)
        }
    }

    /// - Source: FNV-1a with the last step of MurmurHash3, so that ids that differ at their end are spread out.
    private static func hash(_ id: [UInt8], _ range: Range<Int>) -> UInt32 {
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        for index in range { hash = (hash ^ UInt64(id[index])) &* 0x100_0000_01B3 }
        hash = (hash ^ (hash >> 33)) &* 0xFF51_AFD7_ED55_8CCD
        return UInt32(truncatingIfNeeded: hash ^ (hash >> 33))
    }
}
