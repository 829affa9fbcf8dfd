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
    /// The most connections at once; the rest wait in the kernel's queue.
    public var maximumConnectionCount: Int
    /// The most connections of one address; 0 sets no limit.
    public var maximumConnectionCountPerAddress: Int
    /// A connection on which nothing happens for this long is closed; does not run while a request is worked on.
    public var idleTimeout: Duration
    /// The most bytes of a request's headers.
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
        maximumConnectionCountPerAddress = 0
        idleTimeout = .seconds(60)
        maximumHeaderByteCount = 32 << 10
        drainDuration = .seconds(10)
    }
}
