/// A request as a handler sees it, its body complete.
public struct HTTPRequest: Sendable {
    /// The method in capitals.
    public let method: String
    /// The path as it was sent, percent-encoded, without the query.
    public let path: String
    /// The query's names and values, decoded, in order.
    public internal(set) var query: [(name: String, value: String)]
    /// Headers in order; names as they were sent.
    public let headers: [(name: String, value: String)]
    /// The body.
    public internal(set) var body: [UInt8]
    /// The client's address; for IPv6, that of its network.
    public internal(set) var client: IPAddress
    /// The decoded values of the path's `{name}` parts; filled by the router.
    public internal(set) var pathParameters: [String: String] = [:]

    /// Makes a request.
    public init(
        method: String,
        path: String,
        query: [(name: String, value: String)] = [],
        headers: [(name: String, value: String)] = [],
        body: [UInt8] = [],
        client: IPAddress = .none
    ) {
        self.method = method
        self.path = path
        self.query = query
        self.headers = headers
        self.body = body
        self.client = client
    }

    /// The first header of this name, whatever its case.
    public func header(_ name: String) -> String? {
        let wanted = name.lowercased()
        return headers.first { $0.name.lowercased() == wanted }?.value
    }

    /// The first value of this name in the query.
    public func queryValue(_ name: String) -> String? {
        query.first { $0.name == name }?.value
    }

    /// The declared content type of the body, parsed from the headers on each access; nil when none is declared.
    public var contentType: HTTPContentType? { header("content-type").map { HTTPContentType($0) } }
}
