import Foundation
import RandomNumbers
import Tensors
import Testing

@testable import ModelFiles

@Suite struct StoredTensorTests {
    /// The `gguf` package's values of random blocks, scales of 0, -0, subnormal and greatest halves among them.
    @Test(arguments: StoredType.allCases)
    func valuesAreBitIdenticalToThoseOfThePythonPackage(type: StoredType) throws {
        let stored = try GGUFFile(path: Fixture.path("types.gguf")).tensor(type.rawValue)
        let expected = try SafeTensors(path: Fixture.path("types.safetensors")).tensor(type.rawValue)
        #expect(stored.type == type && stored.shape == expected.shape && stored.rows == 3)
        let values = stored.values(rows: 0..<3)
        let different = zip(values, expected.values).enumerated().filter { $1.0.bitPattern != $1.1.bitPattern }
        #expect(
            different.isEmpty,
            "\(different.count) values differ, the first is \(String(describing: different.first))"
        )
        // Any rows alone are the same rows.
        for rows in [0..<0, 0..<1, 1..<3, 2..<3] {
            let part = expected.values[rows.lowerBound * stored.columns..<rows.upperBound * stored.columns]
            #expect(stored.values(rows: rows).map(\.bitPattern) == part.map(\.bitPattern))
        }
        #expect(try stored.tensor().isBitIdentical(to: expected))
    }

    @Test func rowsInRotaryPairsArePutBack() {
        // Two heads of four rows: the halves of a head alternate.
        let order = StoredTensor.RowOrder.rotaryPairs(headWidth: 4)
        #expect((0..<8).map { order.place(of: $0) } == [0, 2, 1, 3, 4, 6, 5, 7])
        let floats: [Float] = (0..<8).flatMap { [Float($0), Float($0) + 0.5] }
        let stored = StoredTensor(
            path: "",
            name: "q",
            type: .float32,
            shape: [8, 2],
            rowOrder: order,
            bytes: floats.withUnsafeBytes { Data($0) }
        )
        #expect(stored.values(rows: 1..<4) == [2, 2.5, 1, 1.5, 3, 3.5])
        stored.withBytes { #expect($0.count == 64) }
    }

    /// A block with one scale that is no number is found, at the value it begins with.
    @Test(arguments: StoredType.allCases)
    func whatIsNotFiniteIsFound(type: StoredType) throws {
        let file = try GGUFFile(path: Fixture.path("types.gguf"))
        let whole = try file.tensor(type.rawValue)
        let size = type.blockByteCount
        let places: [Int] =
            switch type {
            case .float32: [2]
            case .q4_1, .q5_1, .q4_K, .q5_K: [0, 2]
            case .q6_K: [208]
            default: [0]
            }
        for place in places {
            var bytes = whole.withBytes { Data($0) }
            let block = bytes.count / size - 2
            // All bits of the exponent.
            bytes[block * size + place + 1] |= type == .float32 || type == .bfloat16 ? 0x7F : 0x7C
            if type == .float32 || type == .bfloat16 { bytes[block * size + place] |= 0x80 }
            let damaged = StoredTensor(path: "f", name: "t", type: type, shape: whole.shape, bytes: bytes)
            #expect(throws: ModelFileError.notFinite(path: "f", tensor: "t", index: block * type.blockCount)) {
                try damaged.checkIsFinite()
            }
            #expect(damaged.values(rows: 0..<3).contains { !$0.isFinite })
        }
        try whole.checkIsFinite()
    }

    @Test func bfloat16IsRoundedToTheNearestAndToEven() {
        func rounded(_ bits: UInt32) -> UInt16 { StoredTensor.bfloat16([Float(bitPattern: bits)])[0] }
        #expect(rounded(0x3F80_0000) == 0x3F80 && rounded(0x3F80_7FFF) == 0x3F80)
        #expect(rounded(0x3F80_8000) == 0x3F80 && rounded(0x3F81_8000) == 0x3F82 && rounded(0x3F80_8001) == 0x3F81)
        #expect(rounded(0x7F7F_FFFF) == 0x7F80 && rounded(0x7F80_0000) == 0x7F80 && rounded(0x8000_0001) == 0x8000)
        // No number stays none, whichever bits say so.
        #expect(rounded(0x7F80_0001) & 0x7F > 0 && rounded(0xFFFF_FFFF) & 0x7F > 0)
        var random = SeededRandom(seed: 3)
        let values = (0..<1_000).map { _ in Float(bitPattern: UInt32(random.below(0x7F00_0000))) }
        for (value, bits) in zip(values, StoredTensor.bfloat16(values)) {
            let back = Float(bitPattern: UInt32(bits) << 16)
            #expect(abs(back - value) <= abs(value) / 256 || value < 1e-37)
        }
    }
}
