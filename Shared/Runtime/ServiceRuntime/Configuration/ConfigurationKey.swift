import Bytes

/// What must not be shown of a key's value.
public enum Sensitivity: Sendable {
    /// Nothing is hidden.
    case plain
    /// An address; a password in it is hidden.
    case address
    /// All of it is hidden, and it is not taken from a flag, which other users of the machine can see.
    case secret
}

/// One setting of a process: the only definition of its name, type, default, unit and meaning.
///
/// The flag is `--name`, the environment variable `USERLLM_NAME` with underscores, the line of a configuration file
/// `name = value`. A secret is read from the environment, the configuration file, or the file that `--name-file` names.
public struct ConfigurationKey<Value: ConfigurationValue>: Sendable {
    /// The name in lower case with hyphens.
    public let name: String
    /// The value when nothing is set; nil when it must be set, or may be missing.
    public let defaultValue: Value?
    /// The unit of the value, if it has one.
    public let unit: String?
    /// One line for `--help`.
    public let help: String
    /// What must not be shown.
    public let sensitivity: Sensitivity
    private let expectation: String?
    private let isAllowed: @Sendable (Value) -> Bool

    /// Declares a key.
    ///
    /// - Parameters:
    ///   - name: lower case with hyphens.
    ///   - defaultValue: what holds when nothing is set.
    ///   - unit: the unit of the value.
    ///   - sensitivity: what must not be shown.
    ///   - help: one line for `--help`.
    ///   - expectation: what `isAllowed` requires, for the error about a value that it rejects.
    ///   - isAllowed: refuses values of the right type but out of range.
    public init(
        _ name: String,
        default defaultValue: Value? = nil,
        unit: String? = nil,
        sensitivity: Sensitivity = .plain,
        help: String,
        expectation: String? = nil,
        isAllowed: @escaping @Sendable (Value) -> Bool = { _ in true }
    ) {
        self.name = name
        self.defaultValue = defaultValue
        self.unit = unit
        self.sensitivity = sensitivity
        self.help = help
        self.expectation = expectation
        self.isAllowed = isAllowed
    }

    /// Declares a key whose value lies in a range.
    public init(
        _ name: String,
        default defaultValue: Value? = nil,
        in range: ClosedRange<Value>,
        unit: String? = nil,
        help: String
    ) where Value: Comparable {
        let bounds = "from \(range.lowerBound.configurationText) to \(range.upperBound.configurationText)"
        self.init(name, default: defaultValue, unit: unit, help: help, expectation: bounds) { range.contains($0) }
    }

    /// Reads a text as this key's value.
    ///
    /// - Throws: `ConfigurationError` with the key, the text and what is expected.
    func value(from text: String, source: ConfigurationSource) throws(ConfigurationError) -> Value {
        let shown = redacted(text)
        guard let value = Value(configurationText: text) else {
            throw .badValue(key: name, value: shown, expected: Value.expectedText, source: source)
        }
        guard isAllowed(value) else {
            throw .badValue(key: name, value: shown, expected: expectation ?? Value.expectedText, source: source)
        }
        return value
    }
}

/// A key of any type, as lists of keys hold it.
public protocol AnyConfigurationKey: Sendable {
    /// The name in lower case with hyphens.
    var name: String { get }
    /// The unit of the value, if it has one.
    var unit: String? { get }
    /// One line for `--help`.
    var help: String { get }
    /// What must not be shown.
    var sensitivity: Sensitivity { get }
    /// The name of the type.
    var typeDescription: String { get }
    /// The default as it would be written; nil when there is none.
    var defaultText: String? { get }
    /// Whether the flag stands alone, without a value.
    var isFlag: Bool { get }
    /// Refuses a text that is not a value of this key.
    func check(_ text: String, source: ConfigurationSource) throws(ConfigurationError)
}

extension ConfigurationKey: AnyConfigurationKey {
    /// The name of the type.
    public var typeDescription: String { Value.typeDescription }
    /// The default as it would be written; nil when there is none.
    public var defaultText: String? { defaultValue?.configurationText }
    /// Whether the flag stands alone, without a value.
    public var isFlag: Bool { Value.self == Bool.self }
    /// Refuses a text that is not a value of this key.
    public func check(_ text: String, source: ConfigurationSource) throws(ConfigurationError) {
        _ = try value(from: text, source: source)
    }
}

extension AnyConfigurationKey {
    /// The environment variable of this key.
    public var environmentName: String {
        "USERLLM_" + name.uppercased().replacing("-", with: "_")
    }

    /// A value of this key as it may be shown.
    public func redacted(_ text: String) -> String {
        switch sensitivity {
        case .plain: text
        case .address: Redaction.address(text)
        case .secret: Redaction.mark
        }
    }
}
