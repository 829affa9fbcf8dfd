import Foundation

/// SmolLM2-135M-Instruct as it is published, where `Deploy/fetch-model smollm2` has put it.
public enum SmolLM2 {
    /// The GGUF file; nil where it is not in the cache.
    public static let path: String? = {
        let environment = ProcessInfo.processInfo.environment
        let cache = environment["USERLLM_CACHE"] ?? (environment["HOME"] ?? "") + "/.cache/userllm"
        let path = cache + "/models/SmolLM2-135M-Instruct.Q4_1.gguf"
        return FileManager.default.fileExists(atPath: path) ? path : nil
    }()

    /// What a skipped test says.
    public static let missing = "SmolLM2 is not in the cache: run Deploy/fetch-model smollm2"
}
