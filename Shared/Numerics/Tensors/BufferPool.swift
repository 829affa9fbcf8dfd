import Synchronization

/// A pool of reusable memory for tensors, so that a training step allocates nothing once it has run.
///
/// Buffers are aligned to 64 bytes and sorted by size class. A tensor returns its buffer when its last reference is
/// released. Any thread may use a pool; each graph has its own, so the lock is rarely contended.
public final class BufferPool: Sendable {
    /// A buffer's address; the pool alone owns it between uses.
    private struct Address: @unchecked Sendable {
        let base: UnsafeMutablePointer<Float>
    }

    private let free = Mutex<[Int: [Address]]>([:])
    private let allocations = Atomic(0)
    private let allocated = Atomic(0)
    private let products = Atomic(0)

    /// Makes an empty pool.
    public init() {}

    deinit {
        // No tensor is left, because each keeps its pool alive.
        free.withLock { free in
            for address in free.values.joined() { Self.release(address.base) }
        }
    }

    /// Frees the buffers that no tensor is using.
    public func trim() {
        free.withLock { free in
            for address in free.values.joined() { Self.release(address.base) }
            free = [:]
        }
    }

    /// How often memory was requested from the system because no buffer of the right size was free.
    public var allocationCount: Int { allocations.load(ordering: .relaxed) }

    /// How many bytes were requested from the system since the pool was made.
    var allocatedBytes: Int { allocated.load(ordering: .relaxed) }

    /// Multiply-adds of the matrix products that took their memory here, since the pool was made.
    ///
    /// Attention counts what its blocks compute, masked scores included.
    package var multiplyAdds: Int { products.load(ordering: .relaxed) }

    /// Counts a matrix product.
    func count(multiplyAdds: Int) { products.add(multiplyAdds, ordering: .relaxed) }

    /// Takes a buffer of a size class, or of one up to twice as large, and returns it with its capacity.
    ///
    /// Training steps differ a little in size; with separate buffers for each step's size classes, the pool would hold
    /// several times the memory that any of them needs.
    func take(capacity: Int) -> (base: UnsafeMutablePointer<Float>, capacity: Int) {
        let kept: (Address, Int)? = free.withLock { free in
            var size = capacity
            while size <= 2 * capacity {
                if let address = free[size]?.popLast() { return (address, size) }
                size = Self.capacity(for: size + 1)
            }
            return nil
        }
        if let kept { return (kept.0.base, kept.1) }
        allocations.add(1, ordering: .relaxed)
        allocated.add(capacity * MemoryLayout<Float>.stride, ordering: .relaxed)
        return (Self.allocate(capacity: capacity), capacity)
    }

    func giveBack(_ base: UnsafeMutablePointer<Float>, capacity: Int) {
        let address = Address(base: base)
        free.withLock { $0[capacity, default: []].append(address) }
    }

    /// The size class of a buffer for `count` values: a power of two in four steps, at least 16.
    static func capacity(for count: Int) -> Int {
        guard count > 64 else { return (max(count, 1) + 15) / 16 * 16 }
        let step = 1 << (Int.bitWidth - (count - 1).leadingZeroBitCount - 3)
        return (count + step - 1) / step * step
    }

    static func allocate(capacity: Int) -> UnsafeMutablePointer<Float> {
        UnsafeMutableRawPointer.allocate(byteCount: capacity * MemoryLayout<Float>.stride, alignment: 64)
            .bindMemory(to: Float.self, capacity: capacity)
    }

    static func release(_ base: UnsafeMutablePointer<Float>) {
        UnsafeMutableRawPointer(base).deallocate()
    }
}
