internal import Bytes

/// JSON made by hand, where an encoder would be too slow or too much.
public enum JSONText {
    /// A JSON string with its quotes.
    public static func quoted(_ text: String) -> String {
        var quoted = "\""
        quoted.reserveCapacity(text.utf8.count + 2)
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": quoted += "\\\""
            case "\\": quoted += "\\\\"
            // Also those that JSON would let stand: people read these lines on terminals.
            case _ where ControlCharacters.isControl(scalar): quoted += ControlCharacters.escape(of: scalar)
            default: quoted.unicodeScalars.append(scalar)
            }
        }
        return quoted + "\""
    }
}
