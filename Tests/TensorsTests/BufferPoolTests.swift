@testable import Tensors
import Testing

@Suite struct BufferPoolTests {
    @Test func sizeClassesFitAndWasteLittle() {
        for count in [0, 1, 15, 16, 17, 64, 65, 100, 127, 128, 129, 1000, 4097, 1_000_001] {
            let capacity = BufferPool.capacity(for: count)
            #expect(capacity >= max(count, 1) && capacity % 16 == 0, "\(capacity) for \(count)")
            #expect(count < 64 || Double(capacity) <= 1.25 * Double(count) + 16, "\(capacity) for \(count)")
            #expect(BufferPool.capacity(for: capacity) == capacity, "a class holds itself: \(capacity)")
        }
    }

    @Test func memoryIsUsedAgain() {
        let pool = BufferPool()
        let first = pool.tensor([3, 100]).base
        let second = pool.tensor([300])
        #expect(second.base == first)
        let third = pool.tensor([300])
        #expect(third.base != first, "memory in use is not handed out")
        #expect([second, third].allSatisfy { UInt(bitPattern: $0.base) % 64 == 0 })
    }

    @Test func aBufferUpToTwiceAsLargeServesToo() {
        let pool = BufferPool()
        _ = pool.tensor([1_000])
        let smaller = pool.tensor([600])
        #expect(pool.allocationCount == 1)
        let again = pool.tensor([1_000])
        #expect(again.base != smaller.base && pool.allocationCount == 2)
        _ = pool.tensor([100])
        #expect(pool.allocationCount == 3, "much smaller ones have their own")
    }

    @Test func aBorrowedLargerBufferComesBackWhole() {
        let pool = BufferPool()
        _ = pool.tensor([1_000])
        _ = pool.tensor([600])
        let whole = pool.tensor([1_000])
        whole.fill(1)
        #expect(pool.allocationCount == 1 && whole.values.count == 1_000)
    }

    @Test func sharedMemoryStaysWhileOneShapeOfItLives() {
        let pool = BufferPool()
        var tensor: Tensor? = pool.tensor([1, 2, 3, 4, 5, 6], shape: [2, 3])
        let view = tensor?.reshaped([3, 2])
        #expect(view?.ownsItsMemoryAlone == false)
        tensor = nil
        let other = pool.zeros([6])
        #expect(view?.values == [1, 2, 3, 4, 5, 6])
        #expect(view?.ownsItsMemoryAlone == true)
        #expect(other.values == [0, 0, 0, 0, 0, 0])
    }
}
