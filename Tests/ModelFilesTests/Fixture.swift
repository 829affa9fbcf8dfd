import Foundation
import JSON
import ModelFiles
import Testing

/// Files made by `Fixtures/Models/make-golden.py`.
enum Fixture {
    static let folder = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .appending(path: "Fixtures/Models").path

    static func path(_ name: String) -> String { "\(folder)/\(name)" }

    static func data(_ name: String) throws -> Data { try Data(contentsOf: URL(filePath: path(name))) }

    static func configuration(_ name: String) throws -> LanguageModelConfiguration {
        try JSONValue.decode(LanguageModelConfiguration.self, from: data("configurations/\(name).json"))
    }
}

/// The error that `body` throws, as its text; `no error` if it does not.
func errorText(_ body: () throws -> Void) -> String {
    do {
        try body()
        return "no error"
    } catch {
        return "\(error)"
    }
}

/// A folder of its own that is removed afterwards.
func withScratchFolder<Result>(_ body: (String) throws -> Result) throws -> Result {
    let folder = FileManager.default.temporaryDirectory.appending(path: "model-files-\(UUID().uuidString)").path
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: folder) }
    return try body(folder)
}

/// What opening a copy of a fixture's folder says after `change` was done to it; `no error` if it opens.
func folderMessage(_ family: String, _ change: (_ folder: String) throws -> Void) throws -> String {
    try withChangedFolder(family, change) { folder in errorText { _ = try LanguageModelSource.open(folder) } }
}

/// Does `change` and then `body` to a copy of a fixture's folder.
func withChangedFolder<Result>(
    _ family: String,
    _ change: (_ folder: String) throws -> Void,
    _ body: (_ folder: String) throws -> Result
) throws -> Result {
    try withScratchFolder { folder in
        let copy = "\(folder)/model"
        try FileManager.default.copyItem(atPath: Fixture.path(family), toPath: copy)
        try change(copy)
        return try body(copy)
    }
}

func replace(_ file: String, _ old: String, _ new: String) throws {
    let text = try String(contentsOfFile: file, encoding: .utf8)
    #expect(text.contains(old))
    try text.replacingOccurrences(of: old, with: new).write(toFile: file, atomically: true, encoding: .utf8)
}
