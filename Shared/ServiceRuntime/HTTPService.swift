import Foundation
public import HTTPServer

/// A server as a service: takes its port, tells which, serves, and lets requests end when it is stopped.
public struct HTTPService: Service {
    /// Its name in messages.
    public let name: String
    private let configuration: HTTPServerConfiguration
    private let portKey: String
    private let portFile: String?
    private let logger: Logger
    private let onRefusal: @Sendable (Int) -> Void
    private let handler: HTTPHandler

    /// Makes a service.
    ///
    /// - Parameters:
    ///   - name: its name in messages.
    ///   - configuration: where to listen, and the limits.
    ///   - portKey: the key that sets the port, for the error when the port is taken.
    ///   - portFile: a file into which the port is written.
    ///   - logger: told the port.
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

    /// Serves until stopped.
    public func run(until shutdown: Shutdown) async throws {
        let server = try open()
        if let portFile { try Self.write(server.port, to: portFile) }
        logger.info(
            "listening",
            metadata: [
                "http.server": name, "http.host": configuration.host, "http.port": "\(server.port)",
            ]
        )
        try await server.run(until: { await shutdown.requested() })
    }

    private func open() throws -> HTTPServer {
        do throws(HTTPServerError) {
            return try HTTPServer(configuration, onRefusal: onRefusal, handler: handler)
        } catch {
            let advice =
                error.isPortTaken ? ": end that process, or set --\(portKey) to another port (0 takes a free one)" : ""
            throw ProcessFailure(
                "\(name): \(error)\(advice)",
                exitCode: error.isPortTaken ? .unavailable : .configuration
            )
        }
    }

    /// Written whole or not at all, so that who waits for the file never reads half a number.
    private static func write(_ port: Int, to path: String) throws {
        do {
            try Data("\(port)\n".utf8).write(to: URL(fileURLWithPath: path), options: .atomic)
        } catch {
            throw ProcessFailure(
                "the port file \(path) cannot be written: \(error.localizedDescription)",
                exitCode: .configuration
            )
        }
    }
}

/// Where a service's own HTTP server listens.
///
/// **Configuration keys**: `host` (text, `127.0.0.1`), `port` (integer, the service's own default; 0 takes a free one),
/// `port-file` (text, none).
public struct HTTPConfiguration: Sendable {
    private static let host = ConfigurationKey<String>(
        "host",
        default: "127.0.0.1",
        help: "The address on which requests are taken; 0.0.0.0 for all of this machine's"
    )
    private static func port(default port: Int) -> ConfigurationKey<Int> {
        ConfigurationKey("port", default: port, in: 0...65_535, help: "The port for requests; 0 takes a free one")
    }
    private static let portFile = ConfigurationKey<String>(
        "port-file",
        help: "A file into which the port that was taken is written"
    )

    /// The keys, for a command's list.
    public static func keys(port defaultPort: Int) -> [any AnyConfigurationKey] {
        [host, port(default: defaultPort), portFile]
    }

    /// Where to listen, with the limits that suit a service.
    public var server: HTTPServerConfiguration
    /// A file into which the port is written.
    public var portFile: String?

    /// Reads the keys.
    public init(reader: ConfigurationReader, defaultPort: Int) throws(ConfigurationError) {
        server = try HTTPServerConfiguration(
            host: reader.value(of: Self.host),
            port: reader.value(of: Self.port(default: defaultPort))
        )
        portFile = try reader.optionalValue(of: Self.portFile)
    }
}
