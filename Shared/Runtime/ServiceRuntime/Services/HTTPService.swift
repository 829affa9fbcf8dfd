public import HTTPServer

/// A server as a service: takes its port, reports it, serves, and lets requests end when it is stopped.
public struct HTTPService: Service {
    /// Its name in messages.
    public let name: String
    private let configuration: HTTPServerConfiguration
    private let portKey: String
    private let portFile: String?
    private let logger: Logger
    private let shortage = RareMessage()
    private let onRefusal: @Sendable (Int) -> Void
    private let handler: HTTPHandler

    /// Makes a service.
    ///
    /// - Parameters:
    ///   - name: its name in messages.
    ///   - configuration: where to listen, and the limits.
    ///   - portKey: the key that sets the port, for the error when the port is taken.
    ///   - portFile: a file into which the port is written.
    ///   - logger: receives the port.
    ///   - onRefusal: called with the status of each answer that the server gives without asking the handler.
    ///   - handler: answers requests.
    public init(
        _ name: String,
        configuration: HTTPServerConfiguration,
        portKey: String,
        portFile: String?,
        logger: Logger,
        onRefusal: @escaping @Sendable (Int) -> Void = { _ in },
        handler: @escaping HTTPHandler
    ) {
        self.name = name
        self.configuration = configuration
        self.portKey = portKey
        self.portFile = portFile
        self.logger = logger
        self.onRefusal = onRefusal
        self.handler = handler
    }

    /// Makes the service of a process's own port, whose answers are counted.
    ///
    /// - Parameters:
    ///   - configuration: where to listen, and the limits.
    ///   - metrics: counts what is answered, and what the server refuses itself.
    ///   - logger: receives the port.
    ///   - router: answers requests.
    public init(_ configuration: HTTPConfiguration, metrics: HTTPMetrics, logger: Logger, router: HTTPRouter) {
        self.init(
            "http",
            configuration: configuration.server,
            portKey: "port",
            portFile: configuration.portFile,
            logger: logger,
            onRefusal: metrics.countRefusal,
            handler: metrics.counting(router.respond)
        )
    }

    /// Serves until stopped.
    public func run(until shutdown: Shutdown) async throws {
        let server = try open()
        if let portFile { try Self.write(server.port, to: portFile) }
        logger.info(
            "listening",
            metadata: [
                "http.server": name, "http.host": configuration.host, "http.port": "\(server.port)",
                "http.connections": "\(server.maximumConnectionCount)",
            ]
        )
        try await server.run(until: { await shutdown.requested() })
    }

    private func open() throws -> HTTPServer {
        do throws(HTTPServerError) {
            return try HTTPServer(limited(), onRefusal: onRefusal, onShortage: tellShortage, handler: handler)
        } catch {
            let advice =
                error.isPortTaken ? ": end that process, or set --\(portKey) to another port (0 takes a free one)" : ""
            throw ProcessFailure(
                "\(name): \(error)\(advice)",
                exitCode: error.isPortTaken ? .unavailable : .configuration
            )
        }
    }

    /// As configured, with no more connections than the process may have descriptors.
    private func limited() -> HTTPServerConfiguration {
        var limited = configuration
        limited.maximumConnectionCount = DescriptorLimit.connectionCount(wanted: configuration.maximumConnectionCount)
        guard limited.maximumConnectionCount < configuration.maximumConnectionCount else { return limited }
        limited.maximumConnectionCountPerAddress = configuration.maximumConnectionCountPerAddress.map {
            min($0, max(1, limited.maximumConnectionCount * 3 / 4))
        }
        logger.warning(
            "fewer connections than configured, because of the limit of open files (ulimit -n)",
            metadata: [
                "http.server": name, "http.connections": "\(limited.maximumConnectionCount)",
                "http.connections.configured": "\(configuration.maximumConnectionCount)",
                "process.descriptors": "\(DescriptorLimit.count)",
            ]
        )
        return limited
    }

    private func tellShortage() {
        guard shortage.isDue() else { return }
        logger.error(
            "connections cannot be accepted: the process has no descriptor left (ulimit -n)",
            metadata: ["http.server": name, "process.descriptors": "\(DescriptorLimit.count)"]
        )
    }

    /// Written whole or not at all, so that a process that waits for the file never reads half a number.
    private static func write(_ port: Int, to path: String) throws {
        do throws(ProcessFailure) {
            try PrivateFile.replace(Array("\(port)\n".utf8), at: path)
        } catch {
            throw ProcessFailure("the port file: \(error)", exitCode: .configuration)
        }
    }
}
