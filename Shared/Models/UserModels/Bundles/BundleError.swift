/// Why a model bundle cannot be used or written.
public enum BundleError: Error, Sendable, Equatable, CustomStringConvertible {
    /// The folder does not exist.
    case missing(folder: String)
    /// A file is missing: the folder is not a bundle, or is incomplete.
    case incomplete(folder: String, file: String)
    /// A file differs from the one the bundle was written with.
    case altered(folder: String, file: String, expected: String, found: String)
    /// A file cannot be read, or has content that this program does not support.
    case unreadable(folder: String, file: String, reason: String)
    /// The parts do not fit together.
    case mismatched(folder: String, reason: String)
    /// Another bundle replaced it while it was being read.
    case replaced(folder: String)
    /// The folder cannot be written; its previous contents are untouched.
    case unwritable(folder: String, reason: String)

    /// What is wrong, where, and what to do.
    public var description: String {
        switch self {
        case .missing(let folder):
            "there is no model bundle at \(folder): train and export one, or name another folder"
        case .incomplete(let folder, let file):
            "the model bundle \(folder) is half-written, it has no \(file): export or copy it again"
        case .altered(let folder, let file, let expected, let found):
            "\(file) of the model bundle \(folder) was changed, its hash is \(found), expected \(expected): "
                + "export or copy it again"
        case .unreadable(let folder, let file, let reason):
            "\(file) of the model bundle \(folder) cannot be read: \(reason)"
        case .mismatched(let folder, let reason):
            "the parts of the model bundle \(folder) do not fit together: \(reason)"
        case .replaced(let folder):
            "the model bundle \(folder) was replaced while it was read: start again"
        case .unwritable(let folder, let reason):
            "the model bundle \(folder) cannot be written: \(reason)"
        }
    }
}
