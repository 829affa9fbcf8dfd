internal import Foundation

/// What is done to a text before it is split into pieces.
enum Normalizer: Sendable, Equatable {
    /// Nothing.
    case none
    /// Canonical composition (`NFC`) by Unicode 9, as in `tokenizers` 0.23.
    case composed

    /// The normalized text; nil when it is the text as it is.
    func normalized(_ text: ArraySlice<UInt8>) -> [UInt8]? {
        // Below U+0300, whose first byte is 0xCC, every character is composed and none combines.
        guard self == .composed, text.contains(where: { $0 >= 0xCC }) else { return nil }
        let scalars = Array(String(decoding: text, as: UTF8.self).unicodeScalars)
        var result: [UInt8] = []
        result.reserveCapacity(text.count)
        var start = 0
        for (place, scalar) in scalars.enumerated() {
            let isInert = Self.isInert(scalar)
            guard isInert || place - start >= Self.shortCount && Self.isStart(scalar) else { continue }
            if start < place { result += Self.composed(scalars[start..<place]) }
            if isInert { result += Array(String(scalar).utf8) }
            start = isInert ? place + 1 : place
        }
        if start < scalars.count { result += Self.composed(scalars[start...]) }
        return result
    }

    /// Texts are composed in parts from this many characters on: Foundation's time grows with the square of a text in
    /// which much is composed.
    private static let shortCount = 32

    /// Starters that compose with what is in front of them, or decompose into marks.
    private static let followers: Set<UInt32> = [
        0x9BE, 0x9D7, 0xB3E, 0xB56, 0xB57, 0xBBE, 0xBD7, 0xCC2, 0xCD5, 0xCD6, 0xD3E, 0xD57, 0xDCF, 0xDDF, 0xF73, 0xF75,
        0xF81, 0x102E, 0x1B35, 0x11127, 0x1133E, 0x11357, 0x114B0, 0x114BA, 0x114BD, 0x115AF,
    ]

    /// The characters of the supplementary planes that Unicode 9 composes or decomposes.
    private static let composing: [ClosedRange<UInt32>] = [
        0x11099...0x110BA, 0x11127...0x11132, 0x1133E...0x11357, 0x114B0...0x114BE, 0x115AF...0x115BB,
        0x1D157...0x1D1C0, 0x2F800...0x2FA1D,
    ]

    /// Whether a character neither changes nor combines, so that what stands before and after it can be normalized
    /// apart.
    ///
    /// Other characters of this kind need not be known. These are for the sake of exactness: Swift's library takes
    /// U+121D0 for U+21D0 when it composes, and for `tokenizers` marks younger than Unicode 9 have no class.
    private static func isInert(_ scalar: Unicode.Scalar) -> Bool {
        guard scalar.value >= 0x300 else { return false }
        if order(scalar) != 0 { return scalar.properties.age.map { $0.major > 9 } ?? false }
        return scalar.value >= 0x10000 && !composing.contains { $0.contains(scalar.value) }
    }

    /// Whether a character never composes with what stands before it.
    private static func isStart(_ scalar: Unicode.Scalar) -> Bool {
        if scalar.value < 0x300 { return true }
        return order(scalar) == 0 && !followers.contains(scalar.value) && !(0x1160...0x11FF).contains(scalar.value)
    }

    /// The composition of some characters.
    ///
    /// Runs of combining characters are sorted by their class first, which leaves the text canonically equivalent:
    /// Foundation sorts by insertion, and a run of 100,000 in the wrong order would take it minutes.
    private static func composed(_ text: ArraySlice<Unicode.Scalar>) -> [UInt8] {
        var scalars = spelledOut(text)
        var start = 0
        while start < scalars.count {
            guard order(scalars[start]) != 0 else {
                start += 1
                continue
            }
            var end = start + 1
            while end < scalars.count, order(scalars[end]) != 0 { end += 1 }
            if end - start > 1 {
                // Stable: characters of one class keep their order.
                let run = scalars[start..<end].map { (order: order($0), scalar: $0) }.enumerated()
                    .sorted { ($0.element.order, $0.offset) < ($1.element.order, $1.offset) }
                scalars.replaceSubrange(start..<end, with: run.map(\.element.scalar))
            }
            start = end
        }
        return Array(String(String.UnicodeScalarView(scalars)).precomposedStringWithCanonicalMapping.utf8)
    }

    /// The same text where Swift's library would not compose it: it takes the four Tibetan and Greek signs that
    /// decompose into marks for starters, and leaves some syllables with a final consonant after them as two.
    private static func spelledOut(_ text: ArraySlice<Unicode.Scalar>) -> [Unicode.Scalar] {
        var result: [Unicode.Scalar] = []
        result.reserveCapacity(text.count)
        for scalar in text {
            switch scalar.value {
            case 0x344: result += ["\u{308}", "\u{301}"]
            case 0xF73: result += ["\u{F71}", "\u{F72}"]
            case 0xF75: result += ["\u{F71}", "\u{F74}"]
            case 0xF81: result += ["\u{F71}", "\u{F80}"]
            case 0x11A8...0x11C2:
                // A Hangul syllable without a final consonant is 0xAC00 and a multiple of 28.
                if let last = result.last, (0xAC00...0xD7A3).contains(last.value), (last.value - 0xAC00) % 28 == 0,
                    let syllable = Unicode.Scalar(last.value + scalar.value - 0x11A7)
                {
                    result[result.count - 1] = syllable
                } else {
                    result.append(scalar)
                }
            default: result.append(scalar)
            }
        }
        return result
    }

    private static func order(_ scalar: Unicode.Scalar) -> UInt8 {
        scalar.value < 0x300 ? 0 : scalar.properties.canonicalCombiningClass.rawValue
    }
}
