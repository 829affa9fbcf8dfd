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

/// The published SmolLM2-135M-Instruct, where `Deploy/fetch-model smollm2` has put it; nil where it is not.
let smolLM2: String? = {
    let environment = ProcessInfo.processInfo.environment
    let cache = environment["USERLLM_CACHE"] ?? (environment["HOME"] ?? "") + "/.cache/userllm"
    let path = cache + "/models/SmolLM2-135M-Instruct.Q4_1.gguf"
    return FileManager.default.fileExists(atPath: path) ? path : nil
}()
