#if TEST_SWITCHES
    import Failpoints
#endif
import Foundation
import Glibc
import Bytes

/// A process's entry: reads the command line, runs the command, and ends with a code that says how it went.
///
/// ```
/// @main struct App {
///     static func main() async { await Program("trainer", summary: "...", commands: [...]).main() }
/// }
/// ```
public struct Program: Sendable {
    private let name: String
    private let summary: String
    private let commands: [Command]

    /// Declares a program.
    public init(_ name: String, summary: String, commands: [Command]) {
        self.name = name
        self.summary = summary
        self.commands = commands
    }

    /// Runs the command that the process was started with, and ends the process.
    public func main() async -> Never {
        // First of all: a supervisor may stop a process that it has only just started.
        IdleSignals.endCleanly()
        // A client that is gone shows as an error of the write, not as the end of the process.
        signal(SIGPIPE, SIG_IGN)
        DescriptorLimit.raise()
        let code = await run(
            Array(CommandLine.arguments.dropFirst()),
            environment: ProcessInfo.processInfo.environment
        )
        exit(code.rawValue)
    }

    /// Runs a command and returns its result.
    public func run(_ words: [String], environment: [String: String]) async -> ExitCode {
        do throws(ConfigurationError) {
            switch try CommandLineParser(commands: commands).parse(words) {
            case .help(let command):
                print(help(for: command), terminator: "")
                return .success
            case .run(let command, let arguments, let flags):
                if case .tool = command.kind { IdleSignals.endBySignal() }
                let configuration = try reader(for: command, flags: flags, environment: environment)
                let context = try ProcessContext(
                    program: name,
                    command: command,
                    arguments: arguments,
                    configuration: configuration
                )
                return await run(command, context)
            }
        } catch {
            complain("\(name): \(error)")
            if error.exitCode == .usage { complain("\(name) --help lists what there is") }
            return error.exitCode
        }
    }

    private func run(_ command: Command, _ context: ProcessContext) async -> ExitCode {
        do {
            try DescriptorLimit.check(command.kind)
            for key in context.configuration.exposedKeys {
                context.logger.warning(
                    "other users of this machine can see the password on the command line: set it by the environment or a file",
                    metadata: ["configuration.key": key]
                )
            }
            #if TEST_SWITCHES
                for warning in try FailurePlan.check() { context.logger.warning("\(warning)") }
            #endif
            try await command.run(context)
            return .success
        } catch {
            if case .service = command.kind {
                context.logger.critical(
                    "the process ends because of an error",
                    metadata: ["error": FailureText.sentence(error)]
                )
            } else {
                complain("\(name): \(FailureText.sentence(error))")
            }
            return (error as? any ExitCodeError)?.exitCode ?? .failure
        }
    }

    private func reader(
        for command: Command,
        flags: [String: String],
        environment: [String: String]
    ) throws(ConfigurationError) -> ConfigurationReader {
        let path = flags[CommonKeys.config.name] ?? environment[CommonKeys.config.environmentName]
        return try ConfigurationReader(
            keys: command.keys,
            flags: flags,
            environment: environment,
            file: path.map { path throws(ConfigurationError) in try ConfigurationFile(path: path) }
        )
    }

    private func help(for command: Command?) -> String {
        let others = commands.filter { !$0.name.isEmpty }
        if let command, !command.name.isEmpty || others.isEmpty { return command.help(program: name) }
        var text = command?.help(program: name) ?? "\(summary)\n\nUsage: \(name) COMMAND ... [--KEY VALUE ...]\n"
        text += "\nCommands (\(name) COMMAND --help tells more):\n"
        for other in others { text += "  \(other.name)  \(other.summary)\n" }
        return text
    }

    private func complain(_ text: String) {
        // A terminal that is gone is no reason to end differently.
        let shown = ControlCharacters.escaped(text, keepingLines: true)
        try? FileHandle.standardError.write(contentsOf: Data("\(shown)\n".utf8))
    }
}
