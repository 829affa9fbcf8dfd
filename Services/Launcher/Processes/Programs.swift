import Foundation
import ServiceRuntime

/// The programs of the system, which are installed next to this one.
struct Programs: Sendable {
    /// The folder that contains them.
    let folder: String

    /// Locates the programs.
    ///
    /// - Throws: `ProcessFailure` naming the missing ones.
    init(_ names: [String]) throws {
        let own = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
        folder = URL(filePath: own).deletingLastPathComponent().path(percentEncoded: false)
            .trimmingSuffix("/")
        let missing = names.filter { !FileManager.default.isExecutableFile(atPath: path($0)) }
        guard missing.isEmpty else {
            throw ProcessFailure(
                "\(folder) has no \(missing.joined(separator: ", ")): build all programs (Deploy/build), "
                    + "and keep them in one folder",
                exitCode: .configuration
            )
        }
    }

    /// A program's path.
    func path(_ name: String) -> String { "\(folder)/\(name)" }
}

extension String {
    /// The text without this suffix.
    func trimmingSuffix(_ suffix: String) -> String {
        hasSuffix(suffix) && count > suffix.count ? String(dropLast(suffix.count)) : self
    }

    /// The absolute path; a relative one starts at the current folder.
    var absolutePath: String {
        let path = NSString(string: self).expandingTildeInPath
        let absolute = path.hasPrefix("/") ? path : FileManager.default.currentDirectoryPath + "/" + path
        return URL(filePath: absolute).standardized.path(percentEncoded: false).trimmingSuffix("/")
    }
}
