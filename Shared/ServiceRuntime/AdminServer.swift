/// The page for metrics and health.
struct AdminServer: Service {
    let name = "admin-server"
    private let configuration: AdminConfiguration
    private let metrics: MetricsRegistry
    private let health: Health
    private let logger: Logger

    init(_ configuration: AdminConfiguration, metrics: MetricsRegistry, health: Health, logger: Logger) {
        self.configuration = configuration
        self.metrics = metrics
        self.health = health
        self.logger = logger
    }

    func run(until shutdown: Shutdown) async throws {
        await shutdown.requested()
    }
}
