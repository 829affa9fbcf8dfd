import Foundation
public import HTTPServer

/// Where a service's own HTTP server listens.
///
/// **Configuration keys**: `host` (text, `127.0.0.1`), `port` (integer, the service's own default; 0 takes a free one),
/// `port-file` (text, none), `allowed-hosts` (text, none): further names under which the server may be addressed, and
/// whose pages may call it; `maximum-connections-per-address` (integer, three quarters of all): of one client, or one
/// proxy.
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
    private static let connectionsPerAddress = ConfigurationKey<Int>(
        "maximum-connections-per-address",
        in: 1...60_000,
        help: "Connections of one client address at once, a proxy being one; by default three quarters of all"
    )
    /// The names that are allowed beside those of the machine itself; for commands that hand it on to services.
    public static let allowedHosts = ConfigurationKey<String>(
        "allowed-hosts",
        help:
            "Names, separated by commas, under which requests are taken beside localhost and the address listened on; "
            + "pages of these may ask from a browser; * takes any name",
        expectation: "names or addresses without scheme and port, separated by commas, or *",
        isAllowed: { text in names(in: text).allSatisfy(AllowedHosts.isValid) }
    )

    private static func names(in text: String) -> [String] {
        text.split(separator: ",").map { $0.trimmingCharacters(in: .whitespaces) }
    }

    static func allowedHosts(_ reader: ConfigurationReader) throws(ConfigurationError) -> [String] {
        try reader.optionalValue(of: allowedHosts).map(names) ?? []
    }

    /// The keys, for a command's list.
    public static func keys(port defaultPort: Int) -> [any AnyConfigurationKey] {
        [host, port(default: defaultPort), portFile, allowedHosts, connectionsPerAddress]
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
        server.maximumConnectionCountPerAddress = try reader.optionalValue(of: Self.connectionsPerAddress)
        server.allowedHosts = try AllowedHosts(listeningOn: server.host, added: Self.allowedHosts(reader))
        portFile = try reader.optionalValue(of: Self.portFile)
    }
}
