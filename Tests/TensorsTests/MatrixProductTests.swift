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
