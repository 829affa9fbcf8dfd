import CLanguageKernels

/// Float32 numbers at a fixed place in memory: a norm's gains, a bias, a table.
///
/// Written while it is made, read only from then on.
final class WeightVector {
    let base: UnsafeMutablePointer<Float>
    let count: Int

    /// Makes a vector of zeros.
    init(count: Int) {
        self.count = count
        base = .allocate(capacity: max(count, 1))
        base.initialize(repeating: 0, count: max(count, 1))
    }

    /// Copies numbers.
    convenience init(_ values: [Float]) {
        self.init(count: values.count)
        for (index, value) in values.enumerated() { base[index] = value }
    }

    deinit { base.deallocate() }

    /// The numbers.
    var values: [Float] { Array(UnsafeBufferPointer(start: base, count: count)) }
}
