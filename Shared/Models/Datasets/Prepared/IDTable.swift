internal import Files

/// Numbers ids in order of first occurrence, without creating a `String` for each occurrence.
struct IDTable: Sendable {
    /// The concatenated bytes of the ids, and where each ends.
    private var bytes: [UInt8] = []
    private var ends: [Int] = []
    /// A hash table with open addressing, sized to a power of two: the key of each id, and its number, -1 if free.
    ///
    /// A short id is its own key, so that a lookup takes one memory access instead of three.
    private var keys = [UInt64](repeating: 0, count: 1 << 10)
    private var numbers = [Int32](repeating: -1, count: 1 << 10)

    /// How many ids there are.
    var count: Int { ends.count }

    /// The number of an id; a new id is added.
    mutating func number(of id: [UInt8], _ range: Range<Int>) -> Int {
        let key = Self.key(id, range)
        let place = place(of: id, range, key)
        if numbers[place] >= 0 { return Int(numbers[place]) }
        bytes.append(contentsOf: id[range])
        ends.append(bytes.count)
        keys[place] = key
        numbers[place] = Int32(count - 1)
        if count * 3 > numbers.count * 2 { grow() }
        return count - 1
    }

    /// The number of an id; nil when it is not in the table.
    func knownNumber(of id: [UInt8], _ range: Range<Int>) -> Int? {
        let number = numbers[place(of: id, range, Self.key(id, range))]
        return number >= 0 ? Int(number) : nil
    }

    /// The id with this number; nil when it is not UTF-8.
    func text(_ number: Int) -> String? { String(validating: bytes[range(number)], as: UTF8.self) }

    private func range(_ number: Int) -> Range<Int> { (number == 0 ? 0 : ends[number - 1])..<ends[number] }

    /// The slot of an id in the hash table, or the free slot where it belongs.
    private func place(of id: [UInt8], _ range: Range<Int>, _ key: UInt64) -> Int {
        let mask = numbers.count - 1
        var place = Self.firstPlace(key, mask)
        while numbers[place] >= 0 {
            if keys[place] == key,
                Self.isWhole(key) || bytes.hasSameBytes(self.range(Int(numbers[place])), as: id, range)
            {
                return place
            }
            place = (place + 1) & mask
        }
        return place
    }

    private mutating func grow() {
        let (oldKeys, oldNumbers) = (keys, numbers)
        keys = [UInt64](repeating: 0, count: oldKeys.count * 2)
        numbers = [Int32](repeating: -1, count: oldKeys.count * 2)
        let mask = numbers.count - 1
        for (old, number) in oldNumbers.enumerated() where number >= 0 {
            var place = Self.firstPlace(oldKeys[old], mask)
            while numbers[place] >= 0 { place = (place + 1) & mask }
            keys[place] = oldKeys[old]
            numbers[place] = number
        }
    }

    /// Up to seven bytes and their count verbatim; for a longer id a hash, marked by its highest bit.
    ///
    /// - Source: the hash is FNV-1a.
    private static func key(_ id: [UInt8], _ range: Range<Int>) -> UInt64 {
        if range.count <= 7 {
            var key = UInt64(range.count)
            for index in range { key = key << 8 | UInt64(id[index]) }
            return key
        }
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        for index in range { hash = (hash ^ UInt64(id[index])) &* 0x100_0000_01B3 }
        return hash | 1 << 63
    }

    /// Whether a key holds the complete id.
    private static func isWhole(_ key: UInt64) -> Bool { key >> 63 == 0 }

    /// - Source: the final step of MurmurHash3, which spreads out ids that differ in one digit.
    private static func firstPlace(_ key: UInt64, _ mask: Int) -> Int {
        var mixed = (key ^ (key >> 33)) &* 0xFF51_AFD7_ED55_8CCD
        mixed = (mixed ^ (mixed >> 33)) &* 0xC4CE_B9FE_1A85_EC53
        return Int(truncatingIfNeeded: mixed ^ (mixed >> 33)) & mask
    }
}
