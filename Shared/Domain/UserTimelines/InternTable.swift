/// Maps equal byte strings to one small number, for as long as it is in use.
///
/// It counts references: an item that drops out of every timeline leaves the table, so the table is bounded by what the
/// timelines hold. Lookups use the bytes in place, without building a key, because a restore does one for every event.
struct InternTable {
    private struct Entry {
        var key: [UInt8]
        /// How often the number is used; 0: it is free.
        var useCount: Int
        var digest: Digest
    }

    /// Distinguishes most keys without comparing them, and short ones entirely.
    private struct Digest: Equatable {
        let hash: UInt32
        let byteCount: UInt32
        /// The last bytes, from one to eight, so that with those before they fill whole words.
        let word: UInt64
    }

    /// What `retain` found.
    struct Retained: Equatable {
        let number: UInt32
        /// Whether it was not in use before.
        let isNew: Bool
    }

    /// How many different byte strings are in use.
    private(set) var count = 0
    private var entries: [Entry] = []
    /// Open addressing: the key's hash in the upper half and 1 + the entry's number in the lower, or 0; the size is a
    /// power of two, with at most half of the slots taken.
    private var slots = [UInt64](repeating: 0, count: 16)
    private var free: [UInt32] = []
    /// Per table, so that nobody can choose ids that all collide in one slot.
    private let seed = UInt64.random(in: .min ... .max)

    /// The number of some bytes, with one more reference from now on.
    mutating func retain(_ key: Span<UInt8>) -> Retained {
        let digest = digest(key)
        let found = find(key, digest)
        if let number = found.number {
            entries[Int(number)].useCount += 1
            return Retained(number: number, isNew: false)
        }
        let number = add(key, digest)
        slots[found.slot] = Self.slot(digest.hash, number)
        count += 1
        if count > slots.count / 2 { grow() }
        return Retained(number: number, isNew: true)
    }

    /// The number of some bytes; nil when they are not in use.
    func number(of key: Span<UInt8>) -> UInt32? { find(key, digest(key)).number }

    /// Where a key is, or where it would be.
    @inline(__always)
    private func find(_ key: Span<UInt8>, _ digest: Digest) -> (number: UInt32?, slot: Int) {
        let mask = slots.count - 1
        var slot = Int(digest.hash) & mask
        while slots[slot] != 0 {
            if UInt32(truncatingIfNeeded: slots[slot] >> 32) == digest.hash {
                let number = UInt32(truncatingIfNeeded: slots[slot]) - 1
                if entries[Int(number)].digest == digest,
                    key.count <= 8 || Self.equals(entries[Int(number)].key, key)
                {
                    return (number, slot)
                }
            }
            slot = (slot + 1) & mask
        }
        return (nil, slot)
    }

    /// Adds a reference to a number that is in use.
    mutating func retain(_ number: UInt32) {
        precondition(entries[Int(number)].useCount > 0, "number \(number) is not in use")
        entries[Int(number)].useCount += 1
    }

    /// Drops a reference to a number.
    ///
    /// - Returns: the number's bytes when this was the last reference.
    @discardableResult
    mutating func release(_ number: UInt32) -> [UInt8]? {
        let useCount = entries[Int(number)].useCount
        precondition(useCount > 0, "number \(number) is not in use")
        entries[Int(number)].useCount = useCount - 1
        guard useCount == 1 else { return nil }
        vacate(slot(of: number))
        let key = entries[Int(number)].key
        entries[Int(number)].key = []
        free.append(number)
        count -= 1
        return key
    }

    /// The bytes of a number that is in use.
    subscript(number: UInt32) -> [UInt8] {
        precondition(entries[Int(number)].useCount > 0, "number \(number) is not in use")
        return entries[Int(number)].key
    }

    /// How many bytes a number in use stands for.
    func byteCount(of number: UInt32) -> Int { entries[Int(number)].key.count }

    private mutating func add(_ key: Span<UInt8>, _ digest: Digest) -> UInt32 {
        var copy: [UInt8] = []
        copy.reserveCapacity(key.count)
        for index in key.indices { copy.append(key[index]) }
        let entry = Entry(key: copy, useCount: 1, digest: digest)
        if let number = free.popLast() {
            entries[Int(number)] = entry
            return number
        }
        precondition(entries.count < Int(UInt32.max) - 1, "a table holds at most \(UInt32.max) different values")
        entries.append(entry)
        return UInt32(entries.count - 1)
    }

    private static func slot(_ hash: UInt32, _ number: UInt32) -> UInt64 { UInt64(hash) << 32 | UInt64(number + 1) }

    private mutating func grow() {
        slots = [UInt64](repeating: 0, count: slots.count * 2)
        for number in entries.indices where entries[number].useCount > 0 {
            let hash = entries[number].digest.hash
            var slot = Int(hash) & (slots.count - 1)
            while slots[slot] != 0 { slot = (slot + 1) & (slots.count - 1) }
            slots[slot] = Self.slot(hash, UInt32(number))
        }
    }

    private func slot(of number: UInt32) -> Int {
        let hash = entries[Int(number)].digest.hash
        var slot = Int(hash) & (slots.count - 1)
        while slots[slot] != Self.slot(hash, number) { slot = (slot + 1) & (slots.count - 1) }
        return slot
    }

    /// Empties a slot, and moves back the entries that probing would no longer find past the gap.
    private mutating func vacate(_ slot: Int) {
        let mask = slots.count - 1
        var gap = slot
        var next = (gap + 1) & mask
        while slots[next] != 0 {
            let home = Int(slots[next] >> 32) & mask
            if (next - home) & mask >= (next - gap) & mask {
                slots[gap] = slots[next]
                gap = next
            }
            next = (next + 1) & mask
        }
        slots[gap] = 0
    }

    /// Folds products of 64 bits, eight bytes at a time.
    ///
    /// - Source: the mixing step of wyhash (https://github.com/wangyi-fudan/wyhash), with its first constant.
    @inline(__always)
    private func digest(_ key: Span<UInt8>) -> Digest {
        var hash = seed ^ UInt64(key.count)
        var word: UInt64 = 0
        let lastWord = max(0, key.count - 1) & ~7
        for index in 0..<lastWord {
            word = word << 8 | UInt64(key[index])
            if index & 7 == 7 { hash = Self.folded(hash ^ word) }
        }
        word = 0
        for index in lastWord..<key.count { word = word << 8 | UInt64(key[index]) }
        hash = Self.folded(hash ^ word)
        return Digest(
            hash: UInt32(truncatingIfNeeded: hash ^ hash >> 32),
            byteCount: UInt32(truncatingIfNeeded: key.count),
            word: word
        )
    }

    private static func folded(_ value: UInt64) -> UInt64 {
        let product = value.multipliedFullWidth(by: 0xA076_1D64_78BD_642F)
        return product.high ^ product.low
    }

    private static func equals(_ a: [UInt8], _ b: Span<UInt8>) -> Bool {
        guard a.count == b.count else { return false }
        for index in a.indices where a[index] != b[index] { return false }
        return true
    }
}
