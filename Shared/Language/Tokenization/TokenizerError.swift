/// Why a tokenizer could not be read, trained or written.
public enum TokenizerError: Error, Sendable, Equatable, CustomStringConvertible {
    /// The file could not be read or written.
    case file(path: String, reason: String)
    /// The file is not a tokenizer: which key is wrong, and how.
    case malformed(key: String, reason: String)
    /// The file needs a feature that this tokenizer does not support.
    case unsupported(key: String, value: String, supported: String)
    /// The training arguments are invalid.
    case configuration(String)

    /// What failed, on what, and what would be valid.
    public var description: String {
        switch self {
        case .file(let path, let reason): "\(path): \(reason)"
        case .malformed(let key, let reason): "\(Self.place(key)): \(reason)"
        case .unsupported(let key, let value, let supported):
            "\(Self.place(key)) is \(value), which is not supported; supported: \(supported)"
        case .configuration(let reason): reason
        }
    }

    /// A key with the file that has it: keys of a GGUF file say themselves where they are from.
    private static func place(_ key: String) -> String { key.hasPrefix("tokenizer.") ? key : "tokenizer.json: \(key)" }
}
