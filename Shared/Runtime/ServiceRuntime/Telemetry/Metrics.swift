import Synchronization

/// A number that only grows.
public final class Counter: Sendable {
    private let value = Atomic<Int>(0)

    /// Adds to it.
    public func increment(by amount: Int = 1) {
        value.wrappingAdd(amount, ordering: .relaxed)
    }

    /// What was counted.
    public var count: Int { value.load(ordering: .relaxed) }
}

/// A number that goes up and down.
public final class Gauge: Sendable {
    private let bits = Atomic<UInt64>(0)

    /// Sets it.
    public func set(_ value: Double) {
        bits.store(value.bitPattern, ordering: .relaxed)
    }

    /// Adds to it.
    public func add(_ amount: Double) {
        var old = bits.load(ordering: .relaxed)
        while true {
            let new = (Double(bitPattern: old) + amount).bitPattern
            let (exchanged, original) = bits.weakCompareExchange(expected: old, desired: new, ordering: .relaxed)
            if exchanged { return }
            old = original
        }
    }

    /// Its value now.
    public var value: Double { Double(bitPattern: bits.load(ordering: .relaxed)) }
}

/// How often values fell into each of a few ranges.
public final class Histogram: Sendable {
    struct Values: Sendable {
        var counts: [Int]
        var sum = 0.0
    }

    /// From 1 ms to 60 s, in seconds.
    public static let durations: [Double] = [
        0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60,
    ]
    /// From 1 to 10,000, for sizes of batches.
    public static let counts: [Double] = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000]

    let bounds: [Double]
    private let values: Mutex<Values>

    init(bounds: [Double]) {
        precondition(bounds == bounds.sorted(), "bounds of a histogram must ascend: \(bounds)")
        self.bounds = bounds
        values = Mutex(Values(counts: Array(repeating: 0, count: bounds.count + 1)))
    }

    /// Counts a value in the first range whose upper bound it does not pass.
    public func observe(_ value: Double) {
        let index = bounds.firstIndex { value <= $0 } ?? bounds.count
        values.withLock { values in
            values.counts[index] += 1
            values.sum += value
        }
    }

    /// Counts a duration in seconds.
    public func observe(_ duration: Duration) {
        observe(duration / .seconds(1))
    }

    /// How many values were counted.
    public var count: Int { values.withLock { $0.counts.reduce(0, +) } }

    var snapshot: Values { values.withLock { $0 } }
}
