internal import Bytes

/// JSON written directly, where an encoder would be too slow or too much.
public enum JSONText {
    /// A JSON string with its quotes.
    public static func quoted(_ text: String) -> String {
        var quoted = "\""
        quoted.reserveCapacity(text.utf8.count + 2)
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": quoted += "\\\""
            case "\\": quoted += "\\\\"
            // Including those that JSON would allow: people read these lines on terminals.
            case _ where ControlCharacters.isControl(scalar): quoted += ControlCharacters.escape(of: scalar)
            default: quoted.unicodeScalars.append(scalar)
            }
        }
        return quoted + "\""
    }
}
