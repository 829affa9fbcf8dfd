import Foundation
import Bytes

/// Short lines for the person who started the program.
struct Console: Sendable {
    private let prefix: String
    private let handle: FileHandle

    /// Writes to standard output, or to standard error where the output is for programs.
    init(prefix: String = "userllm: ", toStandardError: Bool = false) {
        self.prefix = prefix
        handle = toStandardError ? .standardError : .standardOutput
    }

    /// Writes a line that says who speaks.
    func say(_ text: String) { write(prefix + text + "\n") }

    /// Writes lines as they are.
    func show(_ text: String) { write(text + "\n") }

    private func write(_ text: String) {
        // The last place before the terminal: what forgot to do so before is made harmless here.
        let shown = ControlCharacters.escaped(text, keepingLines: true)
        // A closed pipe is the reader's wish to hear no more.
        try? handle.write(contentsOf: Data(shown.utf8))
    }
}
