import Bytes
import Foundation

/// A message for people, beside a command's result.
enum Notice {
    /// Prints a line on standard error.
    static func say(_ text: String) {
        FileHandle.standardError.write(Data((ControlCharacters.escaped(text) + "\n").utf8))
    }
}
