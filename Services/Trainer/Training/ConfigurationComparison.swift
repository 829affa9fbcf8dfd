import Foundation
import ServiceRuntime

/// Finds the value in which two configurations of a model differ.
enum ConfigurationComparison {
    /// Refuses a configuration that is not the expected one.
    ///
    /// - Parameters:
    ///   - found: the configuration in a checkpoint.
    ///   - expected: the configuration to train.
    ///   - path: the checkpoint's file.
    /// - Throws: `ProcessFailure` naming the first value that differs, with both.
    static func check<Configuration: Encodable>(
        _ found: Configuration,
        is expected: Configuration,
        path: String
    ) throws {
        let (old, new) = (try flattened(found), try flattened(expected))
        for key in Set(old.keys).union(new.keys).sorted() where old[key] != new[key] {
            throw ProcessFailure(
                "\(path): \(key) is \(old[key] ?? "not set"), this training has \(new[key] ?? "none"): "
                    + "give the settings it began with to go on, or train into another folder",
                exitCode: .badInput
            )
        }
    }

    /// Every value by its path, such as `features.usesItem`.
    private static func flattened(_ value: some Encodable) throws -> [String: String] {
        var result: [String: String] = [:]
        func add(_ value: Any, _ path: String) {
            if let values = value as? [String: Any] {
                for (key, value) in values { add(value, path.isEmpty ? key : "\(path).\(key)") }
            } else {
                result[path] = "\(value)"
            }
        }
        add(try JSONSerialization.jsonObject(with: JSONEncoder().encode(value)), "")
        return result
    }
}
