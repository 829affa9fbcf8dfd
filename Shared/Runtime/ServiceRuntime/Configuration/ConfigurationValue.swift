/// A type that a configuration key can have.
public protocol ConfigurationValue: Sendable {
    /// What `--help` calls it, such as `integer`.
    static var typeDescription: String { get }
    /// What a text must look like, for the error about one that does not.
    static var expectedText: String { get }
    /// Reads a value; nil when the text is not one.
    init?(configurationText: String)
    /// The value as it is written in a configuration file.
    var configurationText: String { get }
}

extension String: ConfigurationValue {
    /// `text`.
    public static var typeDescription: String { "text" }
    /// A text that is not empty.
    public static var expectedText: String { "a text that is not empty" }
    /// Takes any text that is not empty.
    public init?(configurationText: String) {
        guard !configurationText.isEmpty else { return nil }
        self = configurationText
    }
    /// The text itself.
    public var configurationText: String { self }
}

extension Int: ConfigurationValue {
    /// `integer`.
    public static var typeDescription: String { "integer" }
    /// A whole number.
    public static var expectedText: String { "a whole number, such as 1000 or 1_000" }
    /// Reads a whole number; underscores may group its digits.
    public init?(configurationText: String) {
        self.init(configurationText.filter { $0 != "_" })
    }
    /// The number in decimal digits.
    public var configurationText: String { String(self) }
}

extension UInt64: ConfigurationValue {
    /// `integer`.
    public static var typeDescription: String { "integer" }
    /// A whole number that is not negative.
    public static var expectedText: String { "a whole number that is not negative" }
    /// Reads a whole number; underscores may group its digits.
    public init?(configurationText: String) {
        self.init(configurationText.filter { $0 != "_" })
    }
    /// The number in decimal digits.
    public var configurationText: String { String(self) }
}

extension Double: ConfigurationValue {
    /// `number`.
    public static var typeDescription: String { "number" }
    /// A finite number.
    public static var expectedText: String { "a number, such as 0.5 or 3e-4" }
    /// Reads a finite number.
    public init?(configurationText: String) {
        guard let value = Double(configurationText), value.isFinite else { return nil }
        self = value
    }
    /// The number's shortest text.
    public var configurationText: String { "\(self)" }
}

extension Bool: ConfigurationValue {
    /// `flag`.
    public static var typeDescription: String { "flag" }
    /// `true` or `false`.
    public static var expectedText: String { "true or false" }
    /// Reads `true`, `yes`, `on`, `1` and their opposites.
    public init?(configurationText: String) {
        switch configurationText.lowercased() {
        case "true", "yes", "on", "1": self = true
        case "false", "no", "off", "0": self = false
        default: return nil
        }
    }
    /// `true` or `false`.
    public var configurationText: String { self ? "true" : "false" }
}

extension Duration: ConfigurationValue {
    /// `duration`.
    public static var typeDescription: String { "duration" }
    /// A number and a unit.
    public static var expectedText: String { "a number with a unit (us, ms, s, m, h or d), such as 250ms or 30s" }

    private static let units: [(suffix: String, microseconds: Double)] = [
        ("us", 1), ("ms", 1e3), ("s", 1e6), ("m", 60e6), ("h", 3_600e6), ("d", 86_400e6),
    ]

    /// Reads a number with a unit; a negative one is refused.
    public init?(configurationText: String) {
        let number = configurationText.prefix { $0.isNumber || $0 == "." }
        guard let unit = Self.units.first(where: { $0.suffix == configurationText.dropFirst(number.count) }),
            let value = Double(number), value.isFinite, value * unit.microseconds < 1e15
        else { return nil }
        self = .microseconds(Int64((value * unit.microseconds).rounded()))
    }

    /// The duration in the largest unit that keeps it whole.
    public var configurationText: String {
        let microseconds = Int64((self / .microseconds(1)).rounded())
        for unit in Self.units.reversed() where microseconds != 0 && microseconds % Int64(unit.microseconds) == 0 {
            return "\(microseconds / Int64(unit.microseconds))\(unit.suffix)"
        }
        return "\(microseconds)us"
    }
}

extension ConfigurationValue where Self: RawRepresentable, Self: CaseIterable, RawValue == String {
    /// The names of all cases.
    public static var typeDescription: String { allCases.map(\.rawValue).joined(separator: "|") }
    /// The names of all cases.
    public static var expectedText: String { "one of " + allCases.map(\.rawValue).joined(separator: ", ") }
    /// Reads the name of a case.
    public init?(configurationText: String) {
        self.init(rawValue: configurationText)
    }
    /// The case's name.
    public var configurationText: String { rawValue }
}
