/// Where a server listens, and its limits.
public struct HTTPServerConfiguration: Sendable {
    /// The address to listen on.
    public var host: String
    /// The port; 0 takes a free one.
    public var port: Int
    /// The largest body of a request, in bytes; more is answered with 413.
    public var maximumBodyByteCount: Int
    /// The most bytes of bodies held at once, of all requests that are not answered yet; more is answered with 503.
    public var maximumBufferedByteCount: Int
    /// The names and addresses under which the server may be addressed.
    public var allowedHosts: AllowedHosts
    /// The most connections at once; beyond that the one that has been idle longest makes room, and when all are busy,
    /// requests of new ones are answered with 503.
    public var maximumConnectionCount: Int
    /// The most connections of one address, beyond which the same is done; three quarters of all when nil.
    ///
    /// An IPv6 network of 64 bits counts as one address.
    public var maximumConnectionCountPerAddress: Int?
    /// The most arguments of a query; more are answered with 414.
    public var maximumQueryArgumentCount: Int
    /// A connection on which nothing happens for this long is closed; does not run while a request is being handled.
    public var idleTimeout: Duration
    /// The memory of a connection for a request's head: its bytes, and some more for each header.
    public var maximumHeaderByteCount: Int
    /// How long a stop waits for requests that are being worked on, before it answers them with 503.
    public var drainDuration: Duration

    /// Makes a configuration with limits that suit a service.
    public init(host: String = "127.0.0.1", port: Int = 0) {
        self.host = host
        self.port = port
        maximumBodyByteCount = 16 << 20
        maximumBufferedByteCount = 256 << 20
        maximumConnectionCount = 2_048
        maximumQueryArgumentCount = 64
        allowedHosts = AllowedHosts(listeningOn: host)
        idleTimeout = .seconds(60)
        // The library clears it after each request, so it is no larger than necessary.
        maximumHeaderByteCount = 24 << 10
        drainDuration = .seconds(10)
    }
}
