import Foundation
import Bytes

/// Short lines for the person who started the program.
struct Console: Sendable {
    private let prefix: String
    private let handle: FileHandle

    /// Writes to standard output, or to standard error if standard output is for programs.
    init(prefix: String = "userllm: ", toStandardError: Bool = false) {
        self.prefix = prefix
        handle = toStandardError ? .standardError : .standardOutput
    }

    /// Writes a line with the program's prefix.
    func say(_ text: String) { write(prefix + text + "\n") }

    /// Writes text without a prefix.
    func show(_ text: String) { write(text + "\n") }

    private func write(_ text: String) {
        // The last step before the terminal: text that was not escaped earlier is made harmless here.
        let shown = ControlCharacters.escaped(text, keepingLines: true)
        // A closed pipe means that the reader wants no more output.
        try? handle.write(contentsOf: Data(shown.utf8))
    }
}
