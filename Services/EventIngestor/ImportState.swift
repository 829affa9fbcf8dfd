import Datasets
import Foundation
import ServiceRuntime

/// How far an import is, kept in a small file, so that a process that was killed goes on where it was.
///
/// Written before each append: what was done is in the log, what is under way may be there in part. Who goes on reads the
/// log back to see which of those events it has.
struct ImportState: Codable, Equatable {
    /// Tells the file and order.
    let fingerprint: String
    /// Events that the log has for certain.
    var doneCount = 0
    /// Where in the file the last of those ended; nil when they do not come in the file's order.
    var position: ReadPosition?
    /// Events after those that an append was begun for.
    var pendingCount = 0
    /// Whether all is in the log.
    var isComplete = false

    init(fingerprint: String) { self.fingerprint = fingerprint }

    /// Reads the state; a new one when there is no file.
    ///
    /// - Throws: when the file is of another import, or cannot be read.
    init(path: String, fingerprint: String) throws(ProcessFailure) {
        guard FileManager.default.fileExists(atPath: path) else {
            self.init(fingerprint: fingerprint)
            return
        }
        do {
            self = try JSONDecoder().decode(Self.self, from: Data(contentsOf: URL(fileURLWithPath: path)))
        } catch {
            throw ProcessFailure(
                "the state of the import in \(path) cannot be read: delete it to import all events again (\(error))",
                exitCode: .badInput
            )
        }
        guard self.fingerprint == fingerprint else {
            throw ProcessFailure(
                "\(path) is the state of another import: the file, its order or --skip-bad-lines changed since; "
                    + "delete it to import all events, or name another with --state",
                exitCode: .badInput
            )
        }
    }

    /// Writes the state whole or not at all, and onto the disk.
    func write(to path: String) throws(ProcessFailure) {
        do {
            let url = URL(fileURLWithPath: path)
            try JSONEncoder().encode(self).write(to: url, options: .atomic)
            let handle = try FileHandle(forUpdating: url)
            try handle.synchronize()
            try handle.close()
        } catch {
            throw ProcessFailure(
                "the state of the import cannot be written to \(path): name a place for it with --state (\(error))",
                exitCode: .configuration
            )
        }
    }
}
