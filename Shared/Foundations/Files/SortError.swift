/// Why records were not sorted.
public enum SortError: Error, Sendable, Equatable, CustomStringConvertible {
    /// The process was told to end.
    case stopped
    /// The disk did not do what was asked.
    case disk(folder: String, reason: String)

    /// What went wrong, where, and what to do.
    public var description: String {
        switch self {
        case .stopped: "sorting was stopped: the process is to end"
        case .disk(let folder, let reason):
            "the temporary file for sorting in \(folder) \(reason); name a folder with more room by the environment "
                + "variable TMPDIR"
        }
    }
}
