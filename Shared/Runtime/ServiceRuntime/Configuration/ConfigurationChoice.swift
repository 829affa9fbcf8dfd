/// A case of an enumeration whose own module knows nothing of configurations.
public struct ConfigurationChoice<Choice>: ConfigurationValue, Equatable
where Choice: RawRepresentable & CaseIterable & Equatable & Sendable, Choice.RawValue == String {
    /// The case.
    public let choice: Choice

    /// Chooses a case.
    public init(_ choice: Choice) { self.choice = choice }

    /// The names of all cases.
    public static var typeDescription: String { Choice.allCases.map(\.rawValue).joined(separator: "|") }
    /// The names of all cases.
    public static var expectedText: String { "one of " + Choice.allCases.map(\.rawValue).joined(separator: ", ") }
    /// Reads the name of a case.
    public init?(configurationText: String) {
        guard let choice = Choice(rawValue: configurationText) else { return nil }
        self.choice = choice
    }
    /// The case's name.
    public var configurationText: String { choice.rawValue }
}
