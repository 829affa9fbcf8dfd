/// Why a safetensors file cannot be read, written or used.
public enum SafeTensorsError: Error, Equatable, CustomStringConvertible {
    /// The file cannot be opened or read.
    case unreadable(path: String, reason: String)
    /// The file cannot be written.
    case unwritable(path: String, reason: String)
    /// The content does not follow the format.
    case malformed(path: String, reason: String)
    /// A tensor is stored in an unsupported type.
    case unsupportedType(path: String, name: String, type: String)
    /// The model needs a tensor that the file does not have.
    case missing(path: String, name: String)
    /// The file has tensors that the model does not know.
    case unexpected(path: String, names: [String])
    /// A tensor's shape differs from the model's.
    case shape(path: String, name: String, found: [Int], expected: [Int])
    /// A value of a tensor is infinite or not a number; the index counts the values row by row.
    case notFinite(path: String, name: String, index: Int, value: Float)

    /// What is wrong, with the file, the value and what to do.
    public var description: String {
        switch self {
        case .unreadable(let path, let reason):
            "cannot read \(path): \(reason)"
        case .unwritable(let path, let reason):
            "cannot write \(path): \(reason)"
        case .malformed(let path, let reason):
            "\(path) is not a whole safetensors file: \(reason); copy or write it again"
        case .unsupportedType(let path, let name, let type):
            "\(path): tensor \(name) has the type \(type); only F32, F16 and BF16 are read, convert it to one of them"
        case .missing(let path, let name):
            "\(path) has no tensor \(name), which the model needs; it is of another model or configuration"
        case .unexpected(let path, let names):
            "\(path) has \(names.count) tensors the model does not know, the first is \(names.first ?? ""); "
                + "it is of another model or configuration"
        case .shape(let path, let name, let found, let expected):
            "\(path): tensor \(name) has the shape \(found), the model needs \(expected); "
                + "load it with the configuration it was trained with"
        case .notFinite(let path, let name, let index, let value):
            "\(path): value \(index) of tensor \(name) is \(value), expected a finite number; "
                + "the training went wrong or the file is damaged: take an earlier checkpoint, or train again"
        }
    }
}
