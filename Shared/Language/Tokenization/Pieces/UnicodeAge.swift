/// Makes characters that are younger than PCRE2's Unicode known to it.
///
/// PCRE2 10.42 knows Unicode 14, `tokenizers` 0.23 matches patterns by Unicode 16 (Oniguruma 6.9.10): 9,500 letters,
/// digits and marks, most of them Han characters and hieroglyphs. Each is replaced, for matching only, by an older
/// character of the same general category and as many bytes, so that matches end at the same bytes.
enum UnicodeAge {
    private static let known = (major: 14, minor: 0)
    private static let wanted = (major: 16, minor: 0)

    /// The text as the patterns shall see it; nil when that is the text itself.
    static func replaced(_ text: [UInt8]) -> [UInt8]? {
        var result: [UInt8]?
        var place = 0
        while place < text.count {
            let lead = text[place]
            // The blocks with young characters of three bytes begin with these; others are not decoded.
            guard lead == 0xE0 || lead == 0xE1 || lead == 0xE2 || lead == 0xEA || lead >= 0xF0 else {
                place += 1
                continue
            }
            let width = lead >= 0xF0 ? 4 : 3
            guard place + width <= text.count else { break }
            if let other = substitute(text[place..<(place + width)]) {
                var changed = result ?? text
                result = nil
                changed.replaceSubrange(place..<(place + width), with: Array(String(other).utf8))
                result = changed
            }
            place += width
        }
        return result
    }

    private static func substitute(_ bytes: ArraySlice<UInt8>) -> Unicode.Scalar? {
        var (iterator, decoder) = (bytes.makeIterator(), UTF8())
        guard case .scalarValue(let scalar) = decoder.decode(&iterator), let age = scalar.properties.age,
            (age.major, age.minor) > known, (age.major, age.minor) <= wanted
        else { return nil }
        return bytes.count == 3 ? short(scalar.properties.generalCategory) : long(scalar)
    }

    /// A character of three bytes of a category.
    private static func short(_ category: Unicode.GeneralCategory) -> Unicode.Scalar? {
        switch category {
        case .uppercaseLetter: "\u{1E00}"
        case .lowercaseLetter: "\u{1E01}"
        case .modifierLetter: "\u{1D2C}"
        case .otherLetter: "\u{0E01}"
        case .nonspacingMark: "\u{0E31}"
        case .spacingMark: "\u{0903}"
        case .decimalNumber: "\u{0E50}"
        case .otherNumber: "\u{2460}"
        case .otherPunctuation: "\u{2020}"
        case .otherSymbol: "\u{2300}"
        case .currencySymbol: "\u{20AC}"
        case .mathSymbol: "\u{2200}"
        default: nil
        }
    }

    /// A character of four bytes of the same category, and of the same script where that is Han.
    private static func long(_ scalar: Unicode.Scalar) -> Unicode.Scalar? {
        switch scalar.properties.generalCategory {
        case .uppercaseLetter: "\u{10400}"
        case .lowercaseLetter: "\u{10428}"
        case .modifierLetter: "\u{16B40}"
        case .otherLetter: scalar.value >= 0x20000 ? "\u{20000}" : "\u{10000}"
        case .nonspacingMark: "\u{1D167}"
        case .spacingMark: "\u{11000}"
        case .decimalNumber: "\u{104A0}"
        case .letterNumber: "\u{10140}"
        case .otherNumber: "\u{10107}"
        case .otherPunctuation: "\u{10100}"
        case .otherSymbol: "\u{1F300}"
        case .mathSymbol: "\u{1D6C1}"
        case .currencySymbol: "\u{11FDD}"
        case .format: "\u{110BD}"
        default: nil
        }
    }
}
