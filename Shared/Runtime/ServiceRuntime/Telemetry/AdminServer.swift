import HTTPServer
import JSON

/// The page for metrics and health.
struct AdminServer: Service {
    static let maximumConnectionCount = 64

    let name = "admin-server"
    private let service: HTTPService

    init(_ configuration: AdminConfiguration, metrics: MetricsRegistry, health: Health, logger: Logger) {
        var router = HTTPRouter()
        router.on("GET", "/metrics") { _ in
            .text(metrics.text, contentType: "text/plain; version=0.0.4; charset=utf-8")
        }
        router.on("GET", "/healthz") { _ in .json(of: ["status": "alive"]) }
        router.on("GET", "/readyz") { _ in Self.readiness(of: health) }
        var server = HTTPServerConfiguration(host: configuration.host, port: configuration.port)
        server.maximumBodyByteCount = 64 << 10
        server.maximumConnectionCount = Self.maximumConnectionCount
        server.idleTimeout = .seconds(10)
        server.allowedHosts = AllowedHosts(listeningOn: configuration.host, added: configuration.allowedHosts)
        server.drainDuration = .seconds(1)
        service = HTTPService(
            name,
            configuration: server,
            portKey: "admin-port",
            portFile: configuration.portFile,
            logger: logger,
            handler: { [router] in await router.respond(to: $0) }
        )
    }

    func run(until shutdown: Shutdown) async throws {
        try await service.run(until: shutdown)
    }

    /// 200 when all conditions hold, else 503; each with all conditions and what they wait for.
    private static func readiness(of health: Health) -> HTTPResponse {
        let reasons = health.reasons
        let waiting = Dictionary(reasons.map { ($0.condition, $0.reason) }) { first, _ in first }
        let names = reasons.map(\.condition).filter { !health.conditions.contains($0) } + health.conditions
        let reply = Readiness(
            status: reasons.isEmpty ? "ready" : "not ready",
            conditions: JSONFields(names.map { ($0, waiting[$0] ?? "ok") })
        )
        return .json(of: reply, status: reasons.isEmpty ? 200 : 503)
    }

    private struct Readiness: Encodable {
        let status: String
        let conditions: JSONFields<String>
    }
}
