/// A request to send.
public struct HTTPClientRequest: Sendable {
    /// The method in capitals.
    public var method: String
    /// The whole address, `http://` or `https://`.
    public var url: String
    /// Headers in order.
    public var headers: [(name: String, value: String)]
    /// The body; nil for none.
    public var body: [UInt8]?
    /// The longest time until the answer is complete; for a stream, the longest time without a byte.
    public var timeout: Duration

    /// Makes a request.
    public init(
        _ method: String = "GET",
        _ url: String,
        headers: [(name: String, value: String)] = [],
        body: [UInt8]? = nil,
        timeout: Duration = .seconds(60)
    ) {
        self.method = method
        self.url = url
        self.headers = headers
        self.body = body
        self.timeout = timeout
    }
}

/// A complete answer.
public struct HTTPClientResponse: Sendable {
    /// The status code.
    public let status: Int
    /// Headers in order.
    public let headers: [(name: String, value: String)]
    /// The body.
    public let body: [UInt8]

    /// The first header of this name, whatever its case.
    public func header(_ name: String) -> String? {
        let wanted = name.lowercased()
        return headers.first { $0.name.lowercased() == wanted }?.value
    }

    /// The body as text.
    public var text: String { String(decoding: body, as: UTF8.self) }
}

/// Why a request has no answer.
public struct HTTPClientError: Error, Sendable, CustomStringConvertible {
    /// What failed, on which address, and why.
    public let description: String
    /// libcurl's number, 0 when it is not libcurl's.
    public let code: UInt32
    /// Whether nobody listens there, or the connection broke before an answer.
    public let isConnectionFailure: Bool

    init(_ description: String, code: UInt32 = 0, isConnectionFailure: Bool = false) {
        self.description = description
        self.code = code
        self.isConnectionFailure = isConnectionFailure
    }
}

/// One event of a stream of server-sent events.
public struct ServerSentEvent: Sendable, Equatable {
    /// The event's type, `message` when none was given.
    public let name: String
    /// Its data.
    public let data: String
}

/// Finds events in the bytes of a stream.
struct ServerSentEventParser {
    private var line: [UInt8] = []
    private var name = ""
    private var data: [String] = []

    /// Takes the next bytes and gives the events that are complete with them.
    mutating func append(_ bytes: [UInt8]) -> [ServerSentEvent] {
        var events: [ServerSentEvent] = []
        for byte in bytes {
            guard byte == UInt8(ascii: "\n") else {
                line.append(byte)
                continue
            }
            if line.last == UInt8(ascii: "\r") { line.removeLast() }
            if let event = take(String(decoding: line, as: UTF8.self)) { events.append(event) }
            line.removeAll(keepingCapacity: true)
        }
        return events
    }

    /// How many bytes of a line without end are held.
    var heldByteCount: Int { line.count + data.reduce(0) { $0 + $1.utf8.count } }

    private mutating func take(_ line: String) -> ServerSentEvent? {
        if line.isEmpty {
            defer {
                name = ""
                data = []
            }
            guard !data.isEmpty else { return nil }
            return ServerSentEvent(name: name.isEmpty ? "message" : name, data: data.joined(separator: "\n"))
        }
        let field = line.prefix { $0 != ":" }
        var value = line.dropFirst(field.count + 1)
        if value.hasPrefix(" ") { value = value.dropFirst() }
        switch field {
        case "event": name = String(value)
        case "data": data.append(String(value))
        default: break
        }
        return nil
    }
}
