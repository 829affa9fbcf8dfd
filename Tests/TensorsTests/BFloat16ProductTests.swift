import CKernels
@testable import Tensors
import TestSupport
import Testing

/// Products in bfloat16 against a plain sum over rounded factors.
@Suite struct BFloat16ProductTests {
    private var source = SeededValues(seed: 16)
    private let pool = BufferPool()

    private static let sizes = [(1, 1, 1), (7, 5, 3), (13, 70, 33), (97, 129, 257), (100, 200, 300), (6, 64, 2)]

    /// To the nearest number of 8 significant bits, ties to even.
    private static func rounded(_ x: Float) -> Double {
        let bits = x.bitPattern
        return Double(Float(bitPattern: (bits + 0x7FFF + (bits >> 16 & 1)) & 0xFFFF_0000))
    }

    private static func read(_ x: Float, _ precision: Precision) -> Double {
        precision == .bfloat16 ? rounded(x) : Double(x)
    }

    @Test(arguments: sizes, [0, 1, 2, 3])
    mutating func productOfRoundedFactors(size: (m: Int, n: Int, k: Int), transposed: Int) {
        let (m, n, k) = size
        let (aTransposed, bTransposed) = (transposed & 1 == 1, transposed & 2 == 2)
        let (a, b) = (source.normal(m * k), source.normal(k * n))
        let (before, bias) = (source.normal(m * n), source.normal(n))
        let (ta, tb) = (pool.tensor(a, shape: [m, k]), pool.tensor(b, shape: [k, n]))
        let c = pool.tensor(before, shape: [m, n])
        MatrixProduct.multiply(
            MatrixView(ta.base, stride: aTransposed ? m : k, transposed: aTransposed),
            MatrixView(tb.base, stride: bTransposed ? k : n, transposed: bTransposed),
            into: MatrixView(c.base, stride: n),
            m: m,
            n: n,
            k: k,
            factor: 0.5,
            accumulate: true,
            bias: pool.tensor(bias, shape: [n]),
            precision: .bfloat16,
            pool: pool
        )
        let expected = (0..<m * n).map { place in
            let (i, j) = (place / n, place % n)
            let sum = (0..<k).reduce(0.0) { sum, q in
                sum + Self.rounded(a[aTransposed ? q * m + i : i * k + q])
                    * Self.rounded(b[bTransposed ? j * k + q : q * n + j])
            }
            return 0.5 * sum + Double(before[place]) + Double(bias[j])
        }
        expectClose(c.values, expected, tolerance: 1e-5, "product of \(size), transposed \(transposed)")
        // The plain loops are what processors without the instruction run.
        var packed = [UInt16](repeating: 0, count: n * k)
        let (rows, columns, depth) = (Int64(m), Int64(n), Int64(k))
        let (aStride, bStride) = (aTransposed ? rows : depth, bTransposed ? depth : columns)
        let (aRead, bRead): (Int32, Int32) = (aTransposed ? 1 : 0, bTransposed ? 1 : 0)
        var plain = before
        ul_bfloat16_pack_plainly(&packed, b, bStride, bRead, columns, depth)
        ul_bfloat16_product_plainly(
            &plain,
            columns,
            a,
            aStride,
            aRead,
            packed,
            depth,
            rows,
            columns,
            depth,
            0.5,
            1,
            bias
        )
        expectClose(plain, expected, tolerance: 1e-5, "plain product of \(size), transposed \(transposed)")
    }

    @Test mutating func aPackedSideServesProductsOfFewerColumnsAndLessDepth() {
        let (m, n, k) = (5, 150, 40)
        let (a, b) = (source.normal(m * k), source.normal(k * n))
        let (ta, tb) = (pool.tensor(a, shape: [m, k]), pool.tensor(b, shape: [k, n]))
        for precision in Precision.allCases {
            let packed = PackedMatrix(MatrixView(tb.base, stride: n), n: n, k: k, precision: precision, pool: pool)
            for (columns, depth) in [(64, 40), (128, 17), (150, 3), (150, 40)] {
                let c = pool.tensor([m, columns])
                MatrixProduct.multiply(
                    MatrixView(ta.base, stride: k),
                    packed,
                    into: MatrixView(c.base, stride: columns),
                    m: m,
                    n: columns,
                    k: depth,
                    pool: pool
                )
                let expected = (0..<m * columns).map { place in
                    (0..<depth).reduce(0.0) {
                        $0 + Self.read(a[place / columns * k + $1], precision)
                            * Self.read(b[$1 * n + place % columns], precision)
                    }
                }
                expectClose(c.values, expected, tolerance: 1e-5, "\(precision), \(columns) columns, depth \(depth)")
            }
        }
    }

    @Test func infinityAndNaNStayWhatTheyAre() {
        let x = pool.tensor([.infinity, 1, .nan, 1], shape: [2, 2])
        let one = pool.tensor([1, 0, 0, 1], shape: [2, 2])
        let y = Linear.forward(x, weight: one, bias: nil, shape: [2, 2], precision: .bfloat16, pool: pool)
        #expect(y[0] == .infinity || y[0].isNaN)
        #expect(y[2].isNaN)
    }

    @Test mutating func eachRowOfAResultDependsOnItsOwnRowAlone() {
        let (rows, width) = (100, 70)
        let weight = pool.tensor(source.normal(width * width), shape: [width, width])
        let x = source.normal(rows * width)
        func product(_ range: Range<Int>) -> [Float] {
            let part = Array(x[range.lowerBound * width..<range.upperBound * width])
            return Linear.forward(
                pool.tensor(part, shape: [range.count, width]),
                weight: weight,
                bias: nil,
                shape: [range.count, width],
                precision: .bfloat16,
                pool: pool
            ).values
        }
        let whole = product(0..<rows)
        for row in [0, 5, 6, 63, 95, 96, 99] {
            #expect(product(row..<row + 1) == Array(whole[row * width..<(row + 1) * width]), "row \(row)")
        }
    }
}
