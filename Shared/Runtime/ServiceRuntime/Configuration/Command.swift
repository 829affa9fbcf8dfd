/// One thing a program can do: its name, its arguments, its keys, and the code that does it.
public struct Command: Sendable {
    /// What surrounds the command's own code.
    public enum Kind: Sendable {
        /// A process that runs until it is stopped, with the page for metrics and health on a port of its own.
        case service(adminPort: Int)
        /// A process that ends when its work is done.
        case tool
    }

    /// The name as typed, of one or more words; empty for what a program does without one.
    public let name: String
    let summary: String
    let arguments: [CommandArgument]
    let kind: Kind
    let run: @Sendable (ProcessContext) async throws -> Void
    private let ownKeys: [any AnyConfigurationKey]

    /// Declares a command.
    ///
    /// - Parameters:
    ///   - name: as typed; empty for what the program does without one.
    ///   - summary: one line for `--help`.
    ///   - arguments: the positional arguments, in order.
    ///   - keys: the keys it reads; those of logging, configuration and administration are added.
    ///   - kind: a service or a tool.
    ///   - run: makes the parts and runs them with `ProcessContext.run`.
    public init(
        _ name: String = "",
        summary: String,
        arguments: [CommandArgument] = [],
        keys: [any AnyConfigurationKey],
        kind: Kind = .tool,
        run: @escaping @Sendable (ProcessContext) async throws -> Void
    ) {
        self.name = name
        self.summary = summary
        self.arguments = arguments
        self.kind = kind
        self.run = run
        ownKeys = keys
    }

    /// Declares a command whose settings are all in its configuration keys.
    ///
    /// - Parameters:
    ///   - name: as typed; empty for what the program does without one.
    ///   - summary: one line for `--help`.
    ///   - configuration: the settings, which are read before the command runs.
    ///   - kind: a service or a tool.
    ///   - run: makes the parts and runs them with `ProcessContext.run`.
    public init<Configuration: CommandConfiguration>(
        _ name: String = "",
        summary: String,
        configuration: Configuration.Type,
        kind: Kind = .tool,
        run: @escaping @Sendable (Configuration, ProcessContext) async throws -> Void
    ) {
        self.init(name, summary: summary, keys: Configuration.keys, kind: kind) { context in
            try await run(Configuration(reader: context.configuration), context)
        }
    }

    var words: [String] { name.split(separator: " ").map(String.init) }

    var keys: [any AnyConfigurationKey] {
        var keys = ownKeys + CommonKeys.all
        guard case .service(let port) = kind else { return keys }
        // A key of both servers of a service stands in both lists.
        let names = Set(keys.map(\.name))
        keys += AdminConfiguration.keys(port: port).filter { !names.contains($0.name) }
        return keys
    }

    var flagNames: [String] {
        ["help"] + keys.map { $0.name } + keys.filter(\.isSecret).map { $0.name + "-file" }
    }

    func key(_ name: String) -> (any AnyConfigurationKey)? {
        keys.first { $0.name == name }
    }

    /// The text of `--help`.
    func help(program: String) -> String {
        var text = "\(summary)\n\nUsage: \([program, name].filter { !$0.isEmpty }.joined(separator: " "))"
        for argument in arguments {
            let shown = argument.name.uppercased()
            text += argument.count == .one ? " \(shown)" : argument.count == .optional ? " [\(shown)]" : " \(shown)..."
        }
        text += " [--KEY VALUE ...]\n"
        if !arguments.isEmpty {
            text += "\nArguments:\n"
            for argument in arguments { text += "  \(argument.name.uppercased())  \(argument.help)\n" }
        }
        text +=
            "\nKeys, as flag --KEY, environment variable USERLLM_KEY or line KEY = VALUE of the file --config names:\n"
        for key in keys { text += Self.helpLine(of: key) }
        return text
    }

    private static func helpLine(of key: any AnyConfigurationKey) -> String {
        let flag =
            if key.isSecret {
                "  --\(key.name)-file <path>"
            } else if key.isFlag {
                "  --\(key.name), --no-\(key.name)"
            } else {
                "  --\(key.name) <\(key.typeDescription)>"
            }
        var notes: [String] = []
        if let unit = key.unit { notes.append("in \(unit)") }
        if let text = key.defaultText { notes.append("default \(key.redacted(text))") }
        if key.isSecret { notes.append("secret: from \(key.environmentName) or the file") }
        let note = notes.isEmpty ? "" : " (\(notes.joined(separator: "; ")))"
        return "\(flag)\n      \(key.help)\(note)\n"
    }
}

/// The settings of a command.
public protocol CommandConfiguration: Sendable {
    /// The keys that the settings are read from.
    static var keys: [any AnyConfigurationKey] { get }

    /// Reads the keys.
    init(reader: ConfigurationReader) throws(ConfigurationError)
}

/// Keys that every command has.
public enum CommonKeys {
    /// The address of the message log; for the commands that use it.
    public static let log = ConfigurationKey<String>(
        "log",
        default: "postgresql://localhost/userllm",
        sensitivity: .address,
        help: "The message log: kafka://host:port,... or postgresql://..."
    )
    /// The address of the database with the rows; for the commands that use it.
    public static let database = ConfigurationKey<String>(
        "database",
        default: "postgresql://localhost/userllm",
        sensitivity: .address,
        help: "The PostgreSQL database with the users' rows"
    )
    static let config = ConfigurationKey<String>("config", help: "A file with lines KEY = VALUE")
    static let logLevel = ConfigurationKey<Logger.Level>(
        "log-level",
        default: .info,
        help: "The least grave messages written"
    )
    static let logFormat = ConfigurationKey<StreamLogHandler.Format>(
        "log-format",
        default: .automatic,
        help: "How messages look; auto is human on a terminal and json elsewhere"
    )
    static let shutdownDeadline = ConfigurationKey<Duration>(
        "shutdown-deadline",
        default: .seconds(25),
        in: .zero ... .seconds(3_600),
        help: "How long a stop may take before the process ends with code 75"
    )
    static let parentProcess = ConfigurationKey<Int>(
        "parent-process",
        in: 1...Int(Int32.max),
        help: "Stops when this process is no longer the parent"
    )

    static let all: [any AnyConfigurationKey] = [config, logLevel, logFormat, shutdownDeadline, parentProcess]

    /// The names of the keys that every command has, which are not specific to its work.
    public static var names: [String] { all.map(\.name) }
}
