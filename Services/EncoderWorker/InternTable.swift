/// Gives equal values one small number, as long as somebody uses it.
///
/// Entries are counted: an item that falls out of every timeline leaves the table, so the table is bounded by what the
/// timelines hold.
struct InternTable<Value: Hashable> {
    private var numbers: [Value: UInt32] = [:]
    private var entries: [(value: Value, count: UInt32)?] = []
    private var free: [UInt32] = []

    /// How many different values are in use.
    var count: Int { numbers.count }

    /// The number of a value, used once more from now on.
    mutating func retain(_ value: Value) -> UInt32 {
        if let number = numbers[value] {
            entries[Int(number)]?.count += 1
            return number
        }
        let number: UInt32
        if let reused = free.popLast() {
            number = reused
            entries[Int(number)] = (value, 1)
        } else {
            number = UInt32(entries.count)
            entries.append((value, 1))
        }
        numbers[value] = number
        return number
    }

    /// Says that one use of a number ended.
    mutating func release(_ number: UInt32) {
        guard let entry = entries[Int(number)] else { preconditionFailure("number \(number) is not in use") }
        if entry.count > 1 {
            entries[Int(number)]?.count -= 1
        } else {
            numbers[entry.value] = nil
            entries[Int(number)] = nil
            free.append(number)
        }
    }

    /// The value of a number that is in use.
    subscript(number: UInt32) -> Value {
        guard let entry = entries[Int(number)] else { preconditionFailure("number \(number) is not in use") }
        return entry.value
    }
}
