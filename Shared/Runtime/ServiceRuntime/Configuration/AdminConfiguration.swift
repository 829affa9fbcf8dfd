/// Where the page for metrics and health is.
///
/// **Configuration keys**: `admin-host` (text, `127.0.0.1`), `admin-port` (integer, the service's own default; 0 takes
/// a free one), `admin-port-file` (text, none), `allowed-hosts` (text, none).
public struct AdminConfiguration: Sendable {
    static let host = ConfigurationKey<String>(
        "admin-host",
        default: "127.0.0.1",
        help: "The address on which /metrics, /healthz and /readyz are served"
    )
    static func port(default port: Int) -> ConfigurationKey<Int> {
        ConfigurationKey(
            "admin-port",
            default: port,
            in: 0...65_535,
            help: "The port of /metrics, /healthz and /readyz; 0 takes a free one"
        )
    }
    static let portFile = ConfigurationKey<String>(
        "admin-port-file",
        help: "A file into which the port that was taken is written"
    )

    static func keys(port defaultPort: Int) -> [any AnyConfigurationKey] {
        [host, port(default: defaultPort), portFile, HTTPConfiguration.allowedHosts]
    }

    let host: String
    let port: Int
    let portFile: String?
    let allowedHosts: [String]

    init(reader: ConfigurationReader, defaultPort: Int) throws(ConfigurationError) {
        host = try reader.value(of: Self.host)
        port = try reader.value(of: Self.port(default: defaultPort))
        portFile = try reader.optionalValue(of: Self.portFile)
        allowedHosts = try HTTPConfiguration.allowedHosts(reader)
    }
}
