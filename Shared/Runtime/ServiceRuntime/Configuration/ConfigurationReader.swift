import Foundation
import Bytes

/// Reads the values of keys: from flags, then the environment, then a file, then the defaults.
public struct ConfigurationReader: Sendable {
    private var flags: [String: String]
    private var environment: [String: String]
    private var file: ConfigurationFile?
    private let keys: [String: any AnyConfigurationKey]

    /// Makes a reader from sources that were read already.
    ///
    /// - Parameters:
    ///   - keys: all keys that may be read.
    ///   - flags: values by key; `CommandLineParser` makes them.
    ///   - environment: environment variables.
    ///   - file: the text of a configuration file.
    /// - Throws: `ConfigurationError` for a value of any source that its key does not allow.
    public init(
        keys: [any AnyConfigurationKey],
        flags: [String: String] = [:],
        environment: [String: String] = [:],
        file: ConfigurationFile? = nil
    ) throws(ConfigurationError) {
        self.keys = Dictionary(keys.map { ($0.name, $0) }) { first, _ in first }
        self.flags = flags
        self.environment = environment
        self.file = file
        try file?.check(names: Array(self.keys.keys) + keys.filter(\.isSecret).map { $0.name + "-file" })
        for key in keys {
            guard let (text, source) = try text(of: key) else { continue }
            try key.check(text, source: source)
        }
    }

    /// The value of a key.
    ///
    /// - Throws: `ConfigurationError.missing` when it is set nowhere and has no default.
    public func value<Value>(of key: ConfigurationKey<Value>) throws(ConfigurationError) -> Value {
        guard let value = try optionalValue(of: key) else {
            throw .missing(key: key.name, environment: key.environmentName, help: key.help)
        }
        return value
    }

    /// The value of a key; nil when it is set nowhere and has no default.
    public func optionalValue<Value>(of key: ConfigurationKey<Value>) throws(ConfigurationError) -> Value? {
        precondition(keys[key.name] != nil, "key \(key.name) is read but not declared by this command")
        guard let (text, source) = try text(of: key) else { return key.defaultValue }
        return try key.value(from: text, source: source)
    }

    /// Whether a key is set anywhere, so that its default does not hold.
    public func isSet(_ key: some AnyConfigurationKey) -> Bool {
        (try? text(of: key)) != nil
    }

    /// The keys whose value is an address with a secret on the command line, where other users can see it.
    var exposedKeys: [String] {
        flags.keys.sorted().filter { name in
            guard let key = keys[name], case .address = key.sensitivity, let text = flags[name] else { return false }
            return key.redacted(text) != text
        }
    }

    /// The values that are not defaults, as they may be shown, by key.
    public var shownValues: [String: String] {
        var shown: [String: String] = [:]
        for key in keys.values {
            guard let (text, _) = try? text(of: key) else { continue }
            shown[key.name] = key.redacted(text)
        }
        return shown
    }

    /// The value of every key that has one, defaults too, as it may be shown, by key.
    public var effectiveValues: [String: String] {
        let defaults = keys.compactMapValues { key in key.defaultText.map(key.redacted) }
        return defaults.merging(shownValues) { _, shown in shown }
    }

    private func text(
        of key: any AnyConfigurationKey
    ) throws(ConfigurationError) -> (text: String, source: ConfigurationSource)? {
        if let text = flags[key.name] { return (text, .flag(key.name)) }
        if key.isSecret, let path = flags[key.name + "-file"] { return (try secret(in: path), .secretFile(path)) }
        if let text = environment[key.environmentName] { return (text, .environment(key.environmentName)) }
        if key.isSecret, let path = environment[key.environmentName + "_FILE"] {
            return (try secret(in: path), .secretFile(path))
        }
        guard let file else { return nil }
        if let entry = file.entries[key.name] { return (entry.text, .file(file.path, line: entry.line)) }
        if key.isSecret, let entry = file.entries[key.name + "-file"] {
            return (try secret(in: entry.text), .secretFile(entry.text))
        }
        return nil
    }

    private func secret(in path: String) throws(ConfigurationError) -> String {
        do {
            return try String(contentsOfFile: path, encoding: .utf8).trimmingCharacters(in: .whitespacesAndNewlines)
        } catch {
            throw .badFile("\(path): the file of a secret cannot be read: \(FailureText.reason(error))")
        }
    }
}

extension AnyConfigurationKey {
    var isSecret: Bool {
        if case .secret = sensitivity { true } else { false }
    }
}

/// A configuration file: lines of `key = value`, with `#` before a comment.
public struct ConfigurationFile: Sendable {
    struct Entry: Sendable {
        let text: String
        let line: Int
    }

    let path: String
    let entries: [String: Entry]

    /// Reads a file.
    public init(path: String) throws(ConfigurationError) {
        do {
            try self.init(text: String(contentsOfFile: path, encoding: .utf8), path: path)
        } catch let error as ConfigurationError {
            throw error
        } catch {
            throw .badFile("the configuration file \(path) cannot be read: \(FailureText.reason(error))")
        }
    }

    /// Reads a text; `path` is for errors.
    public init(text: String, path: String) throws(ConfigurationError) {
        var entries: [String: Entry] = [:]
        for (index, line) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
            let line = line.trimmingCharacters(in: .whitespaces)
            guard !line.isEmpty, !line.hasPrefix("#") else { continue }
            guard let equals = line.firstIndex(of: "=") else {
                // The text there may be the rest of a secret, so it is not shown.
                throw .badFile("\(path):\(index + 1): the line is not understood: expected key = value")
            }
            let key = line[..<equals].trimmingCharacters(in: .whitespaces)
            let value = Self.unquoted(line[line.index(after: equals)...].trimmingCharacters(in: .whitespaces))
            if let earlier = entries[key] {
                throw .badFile("\(path):\(index + 1): \(key) was already set in line \(earlier.line)")
            }
            entries[key] = Entry(text: value, line: index + 1)
        }
        self.path = path
        self.entries = entries
    }

    private static func unquoted(_ text: String) -> String {
        guard text.count >= 2, text.hasPrefix("\""), text.hasSuffix("\"") else { return text }
        return String(text.dropFirst().dropLast())
    }

    /// Rejects an unknown key.
    func check(names: [String]) throws(ConfigurationError) {
        for (key, entry) in entries.sorted(by: { $0.value.line < $1.value.line }) where !names.contains(key) {
            throw .badFile(
                "\(path):\(entry.line): there is no key \(Redaction.word(key))" + Spelling.hint(for: key, among: names)
            )
        }
    }
}

/// Suggests the name that was probably meant.
enum Spelling {
    /// `: did you mean ...?`, or nothing when no name is near.
    static func hint(for name: String, among names: [String], prefix: String = "") -> String {
        guard let nearest = nearest(to: name, among: names) else { return "" }
        return ": did you mean \(prefix)\(nearest)?"
    }

    static func nearest(to name: String, among names: [String]) -> String? {
        let ranked = names.map { (name: $0, distance: distance(name, $0)) }
            .sorted { ($0.distance, $0.name) < ($1.distance, $1.name) }
        guard let best = ranked.first, best.distance <= max(2, name.count / 2) else { return nil }
        return best.name
    }

    /// The number of letters to insert, delete or replace.
    private static func distance(_ a: String, _ b: String) -> Int {
        let a = Array(a)
        let b = Array(b)
        var row = Array(0...b.count)
        for i in a.indices {
            var diagonal = row[0]
            row[0] = i + 1
            for j in b.indices {
                let replaced = diagonal + (a[i] == b[j] ? 0 : 1)
                diagonal = row[j + 1]
                row[j + 1] = min(replaced, row[j] + 1, diagonal + 1)
            }
        }
        return row[b.count]
    }
}
