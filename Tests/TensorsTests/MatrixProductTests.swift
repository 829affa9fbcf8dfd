import Concurrency
import Synchronization
@testable import Tensors
import TestSupport
import Testing

@Suite struct MatrixProductTests {
    /// Products of several sizes, which take different kernels of the library.
    private static func products(seed: UInt64) -> [[Float]] {
        var source = SeededValues(seed: seed)
        let pool = BufferPool()
        return [(3, 5, 7), (50, 50, 16), (200, 64, 64), (130, 300, 65)].map { (m: Int, n: Int, k: Int) in
            Linear.forward(
                pool.tensor(source.normal(m * k), shape: [m, k]),
                weight: pool.tensor(source.normal(n * k), shape: [n, k]),
                bias: nil,
                shape: [m, n],
                pool: pool
            ).values
        }
    }

    @Test func productsOnSeveralThreadsDoNotDisturbEachOther() {
        let expected = (0..<4).map { Self.products(seed: UInt64($0)) }
        let different = Mutex(0)
        BlockingExecutor.concurrently(4) { thread in
            for _ in 0..<25 where Self.products(seed: UInt64(thread)) != expected[thread] {
                different.withLock { $0 += 1 }
            }
        }
        #expect(different.withLock { $0 } == 0)
    }

    /// Numbers below the normal range count as 0 in a product, which would take a hundred times longer, and nowhere else.
    @Test func subnormalFactorsAreZeroInAProductAlone() {
        let pool = BufferPool()
        let subnormal = Float.leastNormalMagnitude / 16
        let product = Linear.forward(
            pool.tensor([Float](repeating: subnormal, count: 4 * 64), shape: [4, 64]),
            weight: pool.tensor([Float](repeating: 1e20, count: 32 * 64), shape: [32, 64]),
            bias: nil,
            shape: [4, 32],
            pool: pool
        )
        #expect(product.values.allSatisfy { $0 == 0 })
        let scaled = Elementwise.scale(pool.tensor([subnormal], shape: [1]), 1e20, pool: pool)
        #expect(scaled[0] == subnormal * 1e20 && scaled[0] > 0)
    }

    @Test func aSumOfNothingIsZero() {
        let pool = BufferPool()
        let (empty, out) = (pool.tensor([0]), pool.tensor([2, 3]))
        let view = MatrixView(empty.base, stride: 1)
        MatrixProduct.multiply(
            view,
            view,
            into: MatrixView(out.base, stride: 3),
            m: 2,
            n: 3,
            k: 0,
            precision: .float32,
            pool: BufferPool()
        )
        #expect(out.values == [0, 0, 0, 0, 0, 0])
    }

    @Test func theRuntimeSaysWhatItChose() {
        #expect(ComputeRuntime.description.contains("OpenBLAS kernels"))
    }
}
