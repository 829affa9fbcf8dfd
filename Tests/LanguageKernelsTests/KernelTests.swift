import CLanguageKernels
import Foundation
import Synchronization
import Testing

/// All tests of the kernels, one after another: each keeps both cores busy.
@Suite(.serialized) struct KernelTests {
    /// The variants that this processor runs, the plain loops first.
    ///
    /// Those of other processors are not tested here.
    static let variants: [String] = ["reference", "avx2", "avxvnni", "avx512", "avx512bf16"].filter { name in
        lk_variant_runs(name) == 1
    }

    @Test func theBestVariantIsTakenAndUnknownOnesAreRefused() {
        #expect(lk_select_variant("avx9000") == LK_ERROR_UNSUPPORTED)
        #expect(lk_variant_runs("avx9000") == 0)
        for name in Self.variants {
            #expect(lk_select_variant(name) == LK_OK)
            #expect(String(cString: lk_variant_name()) == name)
        }
        #expect(lk_select_variant(nil) == LK_OK)
        #expect(String(cString: lk_variant_name()) == Self.variants.last)
    }

    /// Other tests compute with the best variant meanwhile.
    @Test func aSelectionIsOfItsThreadAndOfTheTeamsItRuns() throws {
        let team = try #require(lk_team_create(4))
        defer { lk_team_destroy(team) }
        let found = UnsafeMutablePointer<UnsafePointer<CChar>?>.allocate(capacity: 4)
        defer { found.deallocate() }
        func names() -> Set<String?> {
            found.initialize(repeating: nil, count: 4)
            lk_team_run(
                team,
                { context, member, _ in
                    let found = context?.assumingMemoryBound(to: UnsafePointer<CChar>?.self)
                    found?[Int(member)] = lk_variant_name()
                },
                found
            )
            return Set((0..<4).map { member in found[member].map { String(cString: $0) } })
        }
        func nameInAnotherThread() -> String {
            let name = Mutex("")
            let thread = Thread { name.withLock { $0 = String(cString: lk_variant_name()) } }
            thread.start()
            while !thread.isFinished { Thread.sleep(forTimeInterval: 0.001) }
            return name.withLock { $0 }
        }
        let best = try #require(Self.variants.last)
        #expect(names() == [best])
        withEachVariant { name in
            #expect(names() == [name])
            #expect(nameInAnotherThread() == best)
        }
        #expect(names() == [best])
    }
}

/// Calls the body with each variant in use, and with the best one again after it.
func withEachVariant(_ body: (String) throws -> Void) rethrows {
    defer { lk_select_variant(nil) }
    for name in KernelTests.variants {
        lk_select_variant(name)
        try body(name)
    }
}

/// SplitMix64 (Steele, Lea and Flood, 2014).
struct Generator: RandomNumberGenerator {
    var state: UInt64

    init(_ seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }

    /// Values of about unit variance (the sum of three uniform ones), in [-3, 3].
    mutating func values(_ count: Int, scale: Float = 1) -> [Float] {
        (0..<count).map { _ in
            scale * (0..<3).reduce(Float(0)) { sum, _ in sum + Float.random(in: -1...1, using: &self) }
        }
    }
}

/// The largest difference; infinite for NaN and for unequal numbers of values.
func distance(_ values: some Collection<Float>, _ expected: some Collection<Double>) -> Double {
    guard values.count == expected.count else { return .infinity }
    return zip(values, expected).reduce(0) { worst, pair in
        let difference = abs(Double(pair.0) - pair.1)
        return difference.isNaN ? .infinity : max(worst, difference)
    }
}

/// Bits, so that NaN and the sign of zero count too.
func bits(_ values: some Sequence<Float>) -> [UInt32] { values.map(\.bitPattern) }
