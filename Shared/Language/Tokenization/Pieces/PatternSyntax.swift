/// Translates the pattern of a `tokenizer.json` from Oniguruma's syntax, which `tokenizers` reads, to PCRE2's.
///
/// The two agree on most of what they have in common. What they read differently is translated, or refused by name.
enum PatternSyntax {
    /// The characters of Unicode's property `White_Space`.
    ///
    /// PCRE2's own `\s` also matches U+180E, which has not been white space since Unicode 6.3.
    private static let whiteSpace =
        #"\x{09}-\x{0D}\x{20}\x{85}\x{A0}\x{1680}\x{2000}-\x{200A}\x{2028}\x{2029}\x{202F}\x{205F}\x{3000}"#
    /// How groups may begin.
    private static let groups = ["(?:", "(?i:", "(?=", "(?!", "(?<=", "(?<!", "(?>"]

    /// The pattern for PCRE2.
    ///
    /// - Throws: `TokenizerError.unsupported` naming what is not read, under `key`.
    static func translated(_ source: String, key: String) throws(TokenizerError) -> String {
        let text = Array(source.unicodeScalars)
        var result = String.UnicodeScalarView()
        var isInClass = false
        var place = 0

        func refused(_ what: String, _ supported: String) -> TokenizerError {
            .unsupported(key: key, value: "\(source.prefix(200)) with \(what)", supported: supported)
        }
        func follows(_ wanted: String) -> Bool {
            text[place...].prefix(wanted.unicodeScalars.count).elementsEqual(wanted.unicodeScalars)
        }

        while place < text.count {
            let scalar = text[place]
            switch (scalar, isInClass) {
            case ("\\", _):
                guard place + 1 < text.count else { throw refused(#"a \ at its end"#, "a character after it") }
                result += try escape(text, &place, isInClass, refused).unicodeScalars
                continue
            case ("[", true): throw refused("a set inside of [...]", "characters, ranges and escapes in it")
            case ("&", true) where follows("&&"): throw refused("&& inside of [...]", "sets without intersection")
            case ("]", true): isInClass = false
            case ("[", false):
                isInClass = true
                result.append(scalar)
                place += 1
                if place < text.count, text[place] == "^" {
                    result.append("^")
                    place += 1
                }
                if place < text.count, text[place] == "]" { throw refused("] as a set's first character", #"\]"#) }
                continue
            case ("(", false) where follows("(?") && !groups.contains(where: follows):
                throw refused(
                    String(String.UnicodeScalarView(text[place...].prefix(4))),
                    groups.joined(separator: " ")
                )
            case ("(", false) where follows("(*"): throw refused("(*", groups.joined(separator: " "))
            case ("{", false) where follows("{,"): throw refused("{,", "{0,")
            case ("}", false) where follows("}+"): throw refused("}+", "} and + in a group of their own")
            default: break
            }
            result.append(scalar)
            place += 1
        }
        return String(result)
    }

    /// Translates the escape at `place` and moves `place` behind it.
    private static func escape(
        _ text: [Unicode.Scalar],
        _ place: inout Int,
        _ isInClass: Bool,
        _ refused: (String, String) -> TokenizerError
    ) throws(TokenizerError) -> String {
        let scalar = text[place + 1]
        place += 2
        switch scalar {
        case "s": return isInClass ? whiteSpace : "[\(whiteSpace)]"
        case "S" where !isInClass: return "[^\(whiteSpace)]"
        case "r", "n", "t", "f", "d", "D": return "\\\(scalar)"
        case "p", "P", "x":
            guard place < text.count, text[place] == "{", let end = text[place...].firstIndex(of: "}") else {
                throw refused("\\\(scalar) without {...}", "\\\(scalar){...}")
            }
            let name = String(String.UnicodeScalarView(text[(place + 1)..<end]))
            place = end + 1
            let isWord = name.utf8.allSatisfy { $0 == UInt8(ascii: "_") || Unicode.Scalar($0).properties.isAlphabetic }
            if scalar == "x" {
                guard name.utf8.allSatisfy({ Unicode.Scalar($0).properties.isASCIIHexDigit }) else {
                    throw refused("\\x{\(name)}", "hexadecimal digits")
                }
                return "\\x{\(name)}"
            }
            guard isWord, !name.isEmpty else {
                throw refused("\\\(scalar){\(name)}", "a general category or a script")
            }
            // Alone, PCRE2 takes a script's name for its script extensions.
            return name.utf8.count <= 2 ? "\\\(scalar){\(name)}" : "\\\(scalar){sc:\(name)}"
        default:
            let isPunctuation = scalar.isASCII && scalar.value > 0x20 && !scalar.properties.isAlphabetic
            guard isPunctuation, !("0"..."9").contains(scalar) else {
                throw refused("\\\(scalar)", #"\s \S \d \D \r \n \t \f \p{...} \P{...} \x{...}"#)
            }
            return "\\\(scalar)"
        }
    }
}
