import Bytes

/// Why a language model's files cannot be read: which file, which key, value, tensor or type, and what is expected.
public enum ModelFileError: Error, Sendable, Equatable, CustomStringConvertible {
    /// Nothing that can be read is at the path.
    case unreadable(path: String, reason: String)
    /// The content does not follow its format.
    case malformed(path: String, reason: String)
    /// A key has a value that is not supported or that is missing.
    case unsupported(path: String, key: String, value: String, expected: String)
    /// A tensor is stored in a type that is not read from such a file.
    case unsupportedType(path: String, tensor: String, type: String, expected: [StoredType])
    /// The model needs a tensor that the file does not have.
    case missing(path: String, tensor: String)
    /// The file has tensors that the model does not know.
    case unexpected(path: String, tensors: [String])
    /// A tensor has another shape than the configuration asks for.
    case shape(path: String, tensor: String, found: [Int], expected: [Int])
    /// A value, or the scale of a block that begins at this value, is infinite or not a number.
    case notFinite(path: String, tensor: String, index: Int)

    /// What is wrong, with control characters of names and values shown by their numbers; a long text is cut.
    public var description: String {
        let shown = ControlCharacters.escaped(text).unicodeScalars
        let longest = 1_000
        return shown.count <= longest ? String(shown) : String(String.UnicodeScalarView(shown.prefix(longest))) + "…"
    }

    private var text: String {
        switch self {
        case .unreadable(let path, let reason): "\(path): \(reason)"
        case .malformed(let path, let reason): "\(path) is damaged or not whole: \(reason)"
        case .unsupported(let path, let key, let value, let expected):
            "\(path): \(key) is \(value), expected \(expected)"
        case .unsupportedType(let path, let tensor, let type, let expected):
            "\(path): tensor \(tensor) has the type \(type), expected one of "
                + expected.map(\.rawValue).joined(separator: ", ")
        case .missing(let path, let tensor):
            "\(path) has no tensor \(tensor), which its configuration asks for"
        case .unexpected(let path, let tensors):
            "\(path) has \(tensors.count) tensors that a model of its configuration does not have, "
                + "the first is \(tensors.first ?? "")"
        case .shape(let path, let tensor, let found, let expected):
            "\(path): tensor \(tensor) has the shape \(found), its configuration asks for \(expected)"
        case .notFinite(let path, let tensor, let index):
            "\(path): value \(index) of tensor \(tensor) is not finite; the file is damaged: get it again"
        }
    }

    /// An error of a configuration, as one that names the file.
    static func of(_ path: String, _ error: ModelConfigurationError) -> ModelFileError {
        .unsupported(path: path, key: error.key, value: error.value, expected: error.expected)
    }
}
