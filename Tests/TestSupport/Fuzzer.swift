import Foundation
public import RandomNumbers

/// Damages bytes in the ways that producers, networks and attackers do; the same seed gives the same damage.
public struct Fuzzer {
    /// How many inputs a test tries: many with `Deploy/test --full`, fewer in the daily run.
    public static func count(full: Int, daily: Int) -> Int {
        ProcessInfo.processInfo.environment["USERLLM_TEST_FULL"] == nil ? daily : full
    }

    /// Pieces that parsers stumble over.
    private static let pieces: [[UInt8]] =
        [
            "\"", "\\", "\\u0000", "\\ud800", "{", "}", "[", "]", ",", ":", "null", "true", "-", "1e999", "NaN", "0x",
            "\n",
        ]
        .map { Array($0.utf8) } + [
            [0], [0xFF], [0xC3], [0xF4, 0x90, 0x80, 0x80], [0xEF, 0xBB, 0xBF], Array("99999999999999999999999".utf8),
            [UInt8](repeating: UInt8(ascii: "["), count: 5_000),
            [0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x7F],
            [UInt8](repeating: 0xFF, count: 12), [UInt8](repeating: UInt8(ascii: "a"), count: 700),
        ]

    /// The generator behind it.
    public var random: SeededRandom

    /// Makes a fuzzer.
    public init(seed: UInt64) { random = SeededRandom(seed: seed) }

    /// The bytes with one to four damages.
    public mutating func damaged(_ bytes: [UInt8]) -> [UInt8] {
        var bytes = bytes
        for _ in 0...random.below(4) { damage(&bytes) }
        return bytes
    }

    private mutating func damage(_ bytes: inout [UInt8]) {
        guard !bytes.isEmpty else {
            bytes = (0..<random.below(40)).map { _ in UInt8(random.below(256)) }
            return
        }
        let place = random.below(bytes.count)
        let end = min(bytes.count, place + 1 + random.below(16))
        switch random.below(8) {
        case 0: bytes[place] ^= 1 << UInt8(random.below(8))
        case 1: bytes[place] = UInt8(random.below(256))
        case 2: bytes.removeSubrange(place..<end)
        case 3: bytes.removeLast(bytes.count - place)
        case 4: bytes.insert(contentsOf: bytes[place..<end], at: random.below(bytes.count))
        case 5: bytes.swapAt(place, random.below(bytes.count))
        case 6: bytes.replaceSubrange(place..<end, with: Self.pieces[random.below(Self.pieces.count)])
        default: bytes.insert(contentsOf: Self.pieces[random.below(Self.pieces.count)], at: place)
        }
    }
}
