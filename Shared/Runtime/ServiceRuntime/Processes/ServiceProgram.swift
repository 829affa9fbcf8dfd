/// The entry of a process that is one service.
///
/// ```
/// @main
/// struct App: ServiceProgram {
///     static let name = "gateway"
///     static let summary = "Takes questions over HTTP and gives their answers."
///     static let adminPort = 9_100
/// }
///
/// extension App {
///     static func run(_ configuration: GatewayConfiguration, _ context: ProcessContext) async throws { ... }
/// }
/// ```
public protocol ServiceProgram: SendableMetatype {
    /// The service's settings.
    associatedtype Configuration: CommandConfiguration

    /// The program's name.
    static var name: String { get }
    /// One line for `--help`.
    static var summary: String { get }
    /// The port of the page for metrics and health, unless it is configured.
    static var adminPort: Int { get }
    /// What else the program can do, each by a name of its own; nothing by default.
    static var otherCommands: [Command] { get }

    /// Prepares the process before anything else happens; does nothing by default.
    static func prepare()
    /// Makes the service's parts and runs them with `ProcessContext.run`.
    static func run(_ configuration: Configuration, _ context: ProcessContext) async throws
}

extension ServiceProgram {
    /// No other commands.
    public static var otherCommands: [Command] { [] }

    /// Does nothing.
    public static func prepare() {}

    /// Runs the command that the process was started with, and ends the process.
    public static func main() async {
        prepare()
        let service = Command(
            summary: summary,
            configuration: Configuration.self,
            kind: .service(adminPort: adminPort),
            run: { try await run($0, $1) }
        )
        await Program(name, summary: summary, commands: [service] + otherCommands).main()
    }
}
