public import HTTPServer

/// Counts the requests of a service's HTTP server and how long they take.
public struct HTTPMetrics: Sendable {
    private static let methods: Set<String> = ["GET", "POST", "DELETE", "PUT", "HEAD"]

    private let registry: MetricsRegistry
    private let prefix: String
    private let duration: Histogram

    /// Makes the metrics of one service, such as `event-ingestor`.
    public init(_ registry: MetricsRegistry, service: String) {
        self.registry = registry
        prefix = "userllm_\(service.replacing("-", with: "_"))"
        duration = registry.histogram("\(prefix)_http_request_duration_seconds", help: "Until the answer was ready")
    }

    /// A handler that counts what another one answers.
    public func counting(_ handler: @escaping HTTPHandler) -> HTTPHandler {
        { request in
            let start = ContinuousClock.now
            let response = await handler(request)
            duration.observe(ContinuousClock.now - start)
            count(method: Self.methods.contains(request.method) ? request.method : "other", status: response.status)
            return response
        }
    }

    /// Counts an answer that the server gave without asking the handler.
    public func countRefusal(_ status: Int) {
        count(method: "other", status: status)
    }

    private func count(method: String, status: Int) {
        registry.counter(
            "\(prefix)_http_requests_total",
            help: "Requests answered",
            labels: ["method": method, "status": "\(status)"]
        ).increment()
    }
}
