import Foundation
import JSON
import ModelFiles

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
