import Foundation
import ServiceRuntime

/// The private database in a data folder, and what the folder remembers about it.
///
/// Next to the cluster are its password and its identity, the number that `initdb` assigned. It is an error if a
/// remembered cluster is missing, or another one is in its place: its disk may not be mounted, and a new cluster would
/// hide it. Nothing that exists is ever overwritten.
///
/// A cluster is created under another name (`database.new`) and renamed last, so that `database` is always complete.
/// What a killed start left behind is finished if its identity was already written. Otherwise it is removed, because
/// nobody has used it yet.
struct DatabaseFolder: Sendable {
    /// How much of a cluster exists.
    enum Content: Equatable {
        /// Nothing exists, and nothing is remembered.
        case nothing
        /// A complete cluster that only has to be renamed.
        case unfinished
        /// A cluster, with its password.
        case cluster(password: String)
    }

    /// The cluster's folder.
    let path: String
    /// Where a new cluster is created.
    let draft: String
    /// The superuser's password during creation, in a file owned by the server's user.
    let draftPassword: String
    private let data: String
    private let passwordFile: String
    private let identityFile: String

    /// Derives the paths in a data folder.
    init(data: String) {
        self.data = data
        path = "\(data)/database"
        draft = "\(path).new"
        draftPassword = "\(draft).password"
        passwordFile = "\(path)-password"
        identityFile = "\(path)-identity"
    }

    /// Inspects the folder, and remembers a cluster that was created by a version that did not do so.
    ///
    /// - Throws: `ProcessFailure` if something cannot be used, or something is missing that should exist.
    func content() throws(ProcessFailure) -> Content {
        let remembered = try rememberedIdentity()
        switch try FileEntry(path) {
        case .missing:
            if let remembered, try FileEntry(draft) == .folder, try identity(of: draft) == remembered {
                return .unfinished
            }
            guard remembered == nil, try FileEntry(passwordFile) == .missing else { throw gone(remembered, "") }
            return .nothing
        case .link(let target):
            throw gone(remembered, ": it is a link to \(target), and that is not there")
        case .file:
            throw Self.failure("\(path) is a file and no folder: move it away")
        case .folder:
            return .cluster(password: try passwordOfCluster(remembered))
        }
    }

    private func passwordOfCluster(_ remembered: UInt64?) throws(ProcessFailure) -> String {
        guard try FileEntry("\(path)/PG_VERSION") == .file else {
            if remembered != nil { throw gone(remembered, ": \(path) is a folder without a database") }
            throw Self.failure(
                "\(path) is a folder without a database: mount the disk that belongs there, or remove the folder, "
                    + "and one is made (it may not be a mount point of its own; \(data) may)"
            )
        }
        let found = try identity(of: path)
        if let remembered, remembered != found {
            throw Self.failure(
                "\(path) is another database (its identity is \(found)) than the one that belongs to \(data) "
                    + "(\(remembered), as \(identityFile) says): put that one back, or name another folder with --data"
            )
        }
        guard try FileEntry(passwordFile) == .file else {
            throw Self.failure(
                "\(path) is there but its password in \(passwordFile) is not: restore that file, "
                    + "or name another folder with --data"
            )
        }
        let password = try PrivateFile.read(passwordFile).trimmingCharacters(in: .whitespacesAndNewlines)
        guard !password.isEmpty else {
            throw Self.failure("\(passwordFile) is empty: restore it, or name another folder with --data")
        }
        if remembered == nil { try PrivateFile.create("\(found)\n", at: identityFile) }
        return password
    }

    private func gone(_ remembered: UInt64?, _ detail: String) -> ProcessFailure {
        let what = remembered.map { "the database of \(data) (identity \($0))" } ?? "the database of \(data)"
        return Self.failure(
            "\(what) is not in \(path)\(detail). If it lies on a disk of its own, mount that and start again; nothing "
                + "was changed. To begin with an empty one instead, move \(path)* away, or name another folder with --data"
        )
    }

    // MARK: - Creating a cluster

    /// Removes what a killed start left behind, none of which was used yet.
    func removeDraft() throws(ProcessFailure) {
        for path in [draft, draftPassword] { try PrivateFile.removeAll(path) }
    }

    /// Remembers a cluster that is complete except for its name; from here on it is finished, not created again.
    func remember() throws(ProcessFailure) {
        try PrivateFile.create("\(try identity(of: draft))\n", at: identityFile)
    }

    /// Gives a complete cluster its password file and its name.
    func finish() throws(ProcessFailure) {
        if try FileEntry(passwordFile) == .missing {
            try PrivateFile.create(try PrivateFile.read(draftPassword), at: passwordFile)
        }
        try PrivateFile.move(draft, to: path)
        try PrivateFile.removeAll(draftPassword)
    }

    // MARK: - Identity

    private func rememberedIdentity() throws(ProcessFailure) -> UInt64? {
        guard try FileEntry(identityFile) != .missing else { return nil }
        let text = try PrivateFile.read(identityFile).trimmingCharacters(in: .whitespacesAndNewlines)
        guard let identity = UInt64(text) else {
            throw Self.failure(
                "\(identityFile) does not hold a database's number: restore it, or remove it if \(path) is the right one"
            )
        }
        return identity
    }

    /// The number at the start of a cluster's control file, in every PostgreSQL version.
    private func identity(of folder: String) throws(ProcessFailure) -> UInt64 {
        let file = "\(folder)/global/pg_control"
        let bytes = try PrivateFile.bytes(of: file, atMost: 8)
        guard bytes.count == 8 else { throw Self.failure("\(file) is cut off: \(folder) is no whole database") }
        return bytes.reversed().reduce(0) { $0 << 8 | UInt64($1) }
    }

    private static func failure(_ text: String) -> ProcessFailure { ProcessFailure(text, exitCode: .configuration) }
}
