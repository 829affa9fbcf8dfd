import Bytes

/// A positional argument of a command.
public struct CommandArgument: Sendable {
    /// How many words it takes.
    public enum Count: Sendable {
        /// Exactly one.
        case one
        /// One or none.
        case optional
        /// All that are left, at least one.
        case many
    }

    let name: String
    let help: String
    let count: Count

    /// Declares an argument; its name is shown in capitals.
    public init(_ name: String, help: String, count: Count = .one) {
        self.name = name
        self.help = help
        self.count = count
    }
}

/// Splits a command line into the command, its arguments and its flags.
struct CommandLineParser {
    /// What was asked for.
    enum Result {
        case help(Command?)
        case run(Command, arguments: [String: [String]], flags: [String: String])
    }

    let commands: [Command]

    func parse(_ words: [String]) throws(ConfigurationError) -> Result {
        let (command, rest) = try command(in: words)
        guard let command else { return .help(nil) }
        var flags: [String: String] = [:]
        var positional: [String] = []
        var index = rest.startIndex
        while index < rest.endIndex {
            let word = rest[index]
            index += 1
            if word == "--" {
                positional += rest[index...]
                break
            }
            if word == "--help" || word == "-h" { return .help(command) }
            guard word.hasPrefix("-"), word.count > 1, Double(word) == nil else {
                positional.append(word)
                continue
            }
            let (name, value) = try flag(word, next: index < rest.endIndex ? rest[index] : nil, of: command) {
                index += 1
            }
            guard flags.updateValue(value, forKey: name) == nil else { throw .usage("--\(name) is given twice") }
        }
        return .run(command, arguments: try arguments(positional, of: command), flags: flags)
    }

    /// The command with the most words that the line begins with; the nameless one when none fits.
    private func command(in words: [String]) throws(ConfigurationError) -> (Command?, ArraySlice<String>) {
        let named = commands.filter { !$0.words.isEmpty }.sorted { $0.words.count > $1.words.count }
        if let command = named.first(where: { words.starts(with: $0.words) }) {
            return (command, words[command.words.count...])
        }
        if let command = commands.first(where: \.words.isEmpty) {
            guard let word = words.first, !word.hasPrefix("-"), command.arguments.isEmpty else {
                return (command, words[...])
            }
            throw unknownCommand(word, among: named)
        }
        guard let word = words.first, word != "--help", word != "-h", word != "help" else { return (nil, words[...]) }
        throw unknownCommand(words.prefix { !$0.hasPrefix("-") }.prefix(2).joined(separator: " "), among: named)
    }

    private func unknownCommand(_ word: String, among named: [Command]) -> ConfigurationError {
        let hint = Spelling.hint(for: word, among: named.map(\.name))
        let list = named.map(\.name).joined(separator: ", ")
        return .usage("there is no command \"\(Redaction.word(word))\"" + (hint.isEmpty ? ": there are \(list)" : hint))
    }

    private func flag(
        _ word: String,
        next: String?,
        of command: Command,
        takeNext: () -> Void
    ) throws(ConfigurationError) -> (name: String, value: String) {
        let body = word.drop { $0 == "-" }
        let name = String(body.prefix { $0 != "=" })
        let inline = body.firstIndex(of: "=").map { String(body[body.index(after: $0)...]) }
        if name.hasPrefix("no-"), inline == nil, let key = command.key(String(name.dropFirst(3))), key.isFlag {
            return (key.name, "false")
        }
        guard word.hasPrefix("--"), command.flagNames.contains(name) else {
            let hint = Spelling.hint(for: name, among: command.flagNames, prefix: "--")
            // A single hyphen may be followed by a flag's letter and then its value.
            let shown = word.hasPrefix("--") ? String(word.prefix { $0 != "=" }) : String(word.prefix(2))
            throw .usage("there is no flag \(Redaction.word(shown))\(hint)")
        }
        if let key = command.key(name), key.isSecret {
            throw .usage(
                "--\(name) is a secret, which other users could read on the command line: "
                    + "set \(key.environmentName), or name a file with --\(name)-file"
            )
        }
        if let inline { return (name, inline) }
        if command.key(name)?.isFlag == true { return (name, "true") }
        guard let next, !next.hasPrefix("--") else { throw .usage("--\(name) needs a value") }
        takeNext()
        return (name, next)
    }

    private func arguments(
        _ words: [String],
        of command: Command
    ) throws(ConfigurationError) -> [String: [String]] {
        var rest = words[...]
        var found: [String: [String]] = [:]
        for argument in command.arguments {
            let shown = argument.name.uppercased()
            if rest.isEmpty, argument.count != .optional { throw .usage("\(shown) is missing: \(argument.help)") }
            found[argument.name] = argument.count == .many ? Array(rest) : Array(rest.prefix(1))
            rest = argument.count == .many ? [] : rest.dropFirst()
        }
        if let word = rest.first { throw .usage("\"\(Redaction.word(word))\" is one argument too many; see --help") }
        return found
    }
}
