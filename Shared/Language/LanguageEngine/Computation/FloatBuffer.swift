/// Scratch memory for Float32 numbers, aligned for vector loads; not initialised.
final class FloatBuffer {
    let base: UnsafeMutablePointer<Float>
    let count: Int

    /// Allocates room for numbers.
    ///
    /// Memory that is never written is not resident.
    init(count: Int) {
        self.count = count
        let bytes = max(count, 1) * MemoryLayout<Float>.stride
        let memory = UnsafeMutableRawPointer.allocate(byteCount: bytes, alignment: 64)
        base = memory.bindMemory(to: Float.self, capacity: count)
    }

    deinit { base.deallocate() }
}
