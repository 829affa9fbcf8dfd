/// What a process has once its command line is understood: settings, logger, metrics and health.
public struct ProcessContext: Sendable {
    /// The program's name.
    public let name: String
    /// Reads the command's keys.
    public let configuration: ConfigurationReader
    /// Writes messages.
    public let logger: Logger
    /// All metrics.
    public let metrics: MetricsRegistry
    /// Whether the process is ready.
    public let health: Health
    private let arguments: [String: [String]]
    private let admin: AdminConfiguration?
    private let options: ServiceGroup.Options

    init(
        program: String,
        command: Command,
        arguments: [String: [String]],
        configuration: ConfigurationReader
    ) throws(ConfigurationError) {
        name = program
        self.arguments = arguments
        self.configuration = configuration
        logger = try Logger(
            label: program,
            level: configuration.value(of: CommonKeys.logLevel),
            handler: StreamLogHandler(format: configuration.value(of: CommonKeys.logFormat))
        )
        metrics = MetricsRegistry()
        health = Health()
        if case .service(let port) = command.kind {
            admin = try AdminConfiguration(reader: configuration, defaultPort: port)
        } else {
            admin = nil
        }
        var options = ServiceGroup.Options()
        options.shutdownDeadline = try configuration.value(of: CommonKeys.shutdownDeadline)
        options.parentProcess = try configuration.optionalValue(of: CommonKeys.parentProcess).map { Int32($0) }
        self.options = options
    }

    /// A positional argument that takes one word; nil when it is optional and missing.
    public func argument(_ name: String) -> String? { arguments[name]?.first }

    /// A positional argument that takes many words.
    public func arguments(_ name: String) -> [String] { arguments[name] ?? [] }

    /// Runs services in order until they are done or the process is told to stop.
    ///
    /// A service's page for metrics and health comes first and goes last.
    /// - Throws: the first error of a service.
    public func run(_ services: [any Service]) async throws {
        let own: [any Service] = admin.map { [AdminServer($0, metrics: metrics, health: health, logger: logger)] } ?? []
        let settings = configuration.shownValues.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }
        if admin != nil {
            logger.info("starting", metadata: ["settings": settings.joined(separator: " ")])
        }
        let group = ServiceGroup(own + services, logger: logger, options: options)
        try await group.run(onStop: { health.beginStopping() })
        if admin != nil { logger.info("stopped") }
    }

    /// Runs one piece of work until it is done or the process is told to stop.
    public func run(_ name: String, _ body: @escaping @Sendable (Shutdown) async throws -> Void) async throws {
        try await run([ServiceFunction(name, body)])
    }
}
