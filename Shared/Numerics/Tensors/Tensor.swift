import CKernels

/// A row-major array of Float32 with a shape.
///
/// Reading from several threads is safe; writing needs exclusive access. In training this holds because a parameter is
/// only written between steps, and everything else belongs to one graph, which one thread uses at a time.
public final class Tensor: @unchecked Sendable {
    /// The size of each dimension; empty for a scalar.
    public let shape: [Int]
    /// The number of values.
    public let count: Int

    let base: UnsafeMutablePointer<Float>
    private var storage: Storage

    /// The memory, which tensors of different shapes may share.
    private final class Storage {
        let base: UnsafeMutablePointer<Float>
        private let capacity: Int
        private let pool: BufferPool?

        init(capacity: Int, pool: BufferPool?) {
            self.pool = pool
            (base, self.capacity) =
                pool?.take(capacity: capacity) ?? (BufferPool.allocate(capacity: capacity), capacity)
        }

        deinit {
            if let pool {
                pool.giveBack(base, capacity: capacity)
            } else {
                BufferPool.release(base)
            }
        }
    }

    /// Makes a tensor of zeros.
    public convenience init(shape: [Int]) {
        self.init(uninitialized: shape, pool: nil)
        ul_fill(base, 0, Int64(count))
    }

    /// Makes a tensor of the given values, in row-major order.
    public convenience init(_ values: [Float], shape: [Int]) {
        self.init(uninitialized: shape, pool: nil)
        assign(values)
    }

    /// Makes a tensor whose values the closure writes, all of them.
    ///
    /// - Parameters:
    ///   - shape: the tensor's shape.
    ///   - fill: gets room for as many values as the shape has, in row-major order.
    /// - Throws: what the closure throws.
    public convenience init<Failure: Error>(
        shape: [Int],
        filling fill: (UnsafeMutablePointer<Float>) throws(Failure) -> Void
    ) throws(Failure) {
        self.init(uninitialized: shape, pool: nil)
        try fill(base)
    }

    /// Makes a tensor with memory from a pool; its values are uninitialized.
    init(uninitialized shape: [Int], pool: BufferPool?) {
        precondition(shape.allSatisfy { $0 >= 0 }, "a shape has no negative dimension, got \(shape)")
        self.shape = shape
        count = shape.reduce(1, *)
        let capacity = BufferPool.capacity(for: count)
        storage = Storage(capacity: capacity, pool: pool)
        base = storage.base
        #if DEBUG
            // A kernel that forgets to write a value must not pass its test by luck.
            ul_fill(base, .nan, Int64(capacity))
        #endif
    }

    private init(shape: [Int], sharing storage: Storage) {
        self.shape = shape
        count = shape.reduce(1, *)
        self.storage = storage
        base = storage.base
    }

    /// The same values, in the same memory, with another shape.
    public func reshaped(_ shape: [Int]) -> Tensor {
        precondition(shape.reduce(1, *) == count, "\(count) values do not fit the shape \(shape)")
        return Tensor(shape: shape, sharing: storage)
    }

    /// Whether no other tensor uses this one's memory.
    public var ownsItsMemoryAlone: Bool { isKnownUniquelyReferenced(&storage) }

    /// The size of the last dimension; 1 for a scalar.
    public var width: Int { shape.last ?? 1 }

    /// The number of rows when all dimensions but the last are flattened.
    public var rows: Int { shape.dropLast().reduce(1, *) }

    /// All values, in row-major order.
    public var values: [Float] {
        [Float](UnsafeBufferPointer(start: base, count: count))
    }

    /// Replaces all values.
    public func assign(_ values: [Float]) {
        precondition(values.count == count, "a tensor of shape \(shape) takes \(count) values, got \(values.count)")
        values.withUnsafeBufferPointer { source in
            if let start = source.baseAddress { base.update(from: start, count: count) }
        }
    }

    /// Replaces all values with those of a tensor of the same count.
    public func assign(_ other: Tensor) {
        precondition(other.count == count, "a tensor of shape \(shape) takes \(count) values, got \(other.shape)")
        base.update(from: other.base, count: count)
    }

    /// Sets each value to the same number.
    public func fill(_ value: Float) {
        ul_fill(base, value, Int64(count))
    }

    /// The value at a position of the flattened tensor.
    public subscript(index: Int) -> Float {
        precondition(index >= 0 && index < count, "index \(index) is not below \(count)")
        return base[index]
    }

    /// A copy with the given shape, which must have the same count.
    public func copy(shape: [Int]? = nil, pool: BufferPool? = nil) -> Tensor {
        let copy = Tensor(uninitialized: shape ?? self.shape, pool: pool)
        copy.assign(self)
        return copy
    }

    /// Whether both tensors have the same shape and the same bits.
    public func isBitIdentical(to other: Tensor) -> Bool {
        shape == other.shape
            && UnsafeRawBufferPointer(start: base, count: count * 4)
                .elementsEqual(UnsafeRawBufferPointer(start: other.base, count: count * 4))
    }

    /// The sum of the squares of all values, in double precision.
    public var sumOfSquares: Double { ul_dot(base, base, Int64(count)) }

    /// Whether all values are finite.
    public var isFinite: Bool { firstNotFinite == nil }

    /// The index, in the flattened tensor, of the first value that is infinite or not a number.
    public var firstNotFinite: Int? {
        let place = ul_first_not_finite(base, Int64(count))
        return place < 0 ? nil : Int(place)
    }
}

extension BufferPool {
    /// Makes a tensor with memory of this pool; its values are uninitialized.
    public func tensor(_ shape: [Int]) -> Tensor { Tensor(uninitialized: shape, pool: self) }

    /// Makes a tensor of zeros with memory of this pool.
    public func zeros(_ shape: [Int]) -> Tensor {
        let tensor = Tensor(uninitialized: shape, pool: self)
        tensor.fill(0)
        return tensor
    }

    /// Makes a tensor of the given values with memory of this pool.
    public func tensor(_ values: [Float], shape: [Int]) -> Tensor {
        let tensor = Tensor(uninitialized: shape, pool: self)
        tensor.assign(values)
        return tensor
    }
}
