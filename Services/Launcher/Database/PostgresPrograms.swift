import Foundation
import ServiceRuntime

/// PostgreSQL's server programs of one version on this machine.
struct PostgresPrograms: Sendable {
    /// The folder that contains them.
    let folder: String
    /// The major version, such as 15.
    let version: Int

    /// A program's path.
    func path(_ name: String) -> String { "\(folder)/\(name)" }

    /// All installed versions, newest first.
    ///
    /// - Parameter root: where Debian installs them; each version has its own folder.
    /// - Returns: the versions that include a server.
    static func installed(root: String = "/usr/lib/postgresql") -> [PostgresPrograms] {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: root)) ?? []
        return names.compactMap { name in
            guard let version = Int(name) else { return nil }
            let programs = PostgresPrograms(folder: "\(root)/\(name)/bin", version: version)
            return FileManager.default.isExecutableFile(atPath: programs.path("postgres")) ? programs : nil
        }.sorted { $0.version > $1.version }
    }

    /// The programs for a data folder: its own version if it has one, otherwise the newest.
    ///
    /// - Parameters:
    ///   - folder: the cluster's folder.
    ///   - installed: the installed versions.
    /// - Returns: programs that can run the folder.
    /// - Throws: `ProcessFailure` if none can, with what to install.
    static func forCluster(
        in folder: String,
        installed: [PostgresPrograms] = installed()
    ) throws(ProcessFailure) -> PostgresPrograms {
        let versions = installed.map { "\($0.version)" }.joined(separator: ", ")
        if let text = try? String(contentsOfFile: "\(folder)/PG_VERSION", encoding: .utf8) {
            let version = text.trimmingCharacters(in: .whitespacesAndNewlines)
            if let programs = installed.first(where: { "\($0.version)" == version }) { return programs }
            throw ProcessFailure(
                "\(folder) was made by PostgreSQL \(version); installed is \(versions.isEmpty ? "none" : versions). "
                    + "Install postgresql-\(version), or name another folder with --data",
                exitCode: .configuration
            )
        }
        guard let newest = installed.first else {
            throw ProcessFailure(
                "no PostgreSQL server is installed: run Deploy/install-packages (or apt-get install postgresql), "
                    + "or name a database with --database postgresql://...",
                exitCode: .configuration
            )
        }
        return newest
    }
}
