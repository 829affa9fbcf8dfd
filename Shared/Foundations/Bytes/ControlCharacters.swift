/// Keeps text from outside from controlling the terminal or misleading its reader.
///
/// A terminal interprets control characters: it moves, hides, renames, and some answer as if a person had typed. Marks
/// of writing direction make a line read as another. So control characters are shown by their numbers, as in JSON.
public enum ControlCharacters {
    /// A text with every control character shown: `\n`, `\t`, `\u001b`, `\u202e`.
    ///
    /// - Parameters:
    ///   - text: what came from outside.
    ///   - keepingLines: whether line feeds stay what they are.
    /// - Returns: the text that may be shown; inside a JSON string it means the same as before.
    public static func escaped(_ text: String, keepingLines: Bool = false) -> String {
        let isPlain = text.utf8.allSatisfy { (0x20..<0x7F).contains($0) || keepingLines && $0 == 0x0A }
        if isPlain { return text }
        var shown = ""
        for scalar in text.unicodeScalars {
            if isControl(scalar), !(keepingLines && scalar == "\n") {
                shown += escape(of: scalar)
            } else {
                shown.unicodeScalars.append(scalar)
            }
        }
        return shown
    }

    /// Whether a terminal may do something other than show it, or show what follows differently.
    public static func isControl(_ scalar: Unicode.Scalar) -> Bool {
        if scalar.value < 0x7F { return scalar.value < 0x20 }
        switch scalar.properties.generalCategory {
        case .control, .lineSeparator, .paragraphSeparator, .surrogate: return true
        // Joiners belong to the letters of many languages and to emoji; all others are invisible marks.
        case .format: return scalar != "\u{200C}" && scalar != "\u{200D}"
        default: return false
        }
    }

    /// How it is written in JSON.
    public static func escape(of scalar: Unicode.Scalar) -> String {
        switch scalar {
        case "\n": "\\n"
        case "\r": "\\r"
        case "\t": "\\t"
        default:
            String(scalar).utf16.map { unit in
                let digits = String(unit, radix: 16)
                return "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            }.joined()
        }
    }
}
