internal import JSON

/// What a handler answers.
public struct HTTPResponse: Sendable {
    /// A body: all of it, or one that is written while it is sent.
    public enum Body: Sendable {
        /// All of it.
        case bytes([UInt8])
        /// Written piece by piece; the response ends when the closure returns.
        case stream(@Sendable (HTTPStreamWriter) async throws -> Void)
    }

    /// The status code.
    public var status: Int
    /// Headers in order.
    public var headers: [(name: String, value: String)]
    /// The body.
    public var body: Body

    /// Makes a response.
    public init(status: Int, headers: [(name: String, value: String)] = [], body: Body = .bytes([])) {
        self.status = status
        self.headers = headers
        self.body = body
    }

    /// A response of plain text.
    public static func text(_ text: String, status: Int = 200, contentType: String = "text/plain; charset=utf-8")
        -> Self
    {
        HTTPResponse(status: status, headers: [("Content-Type", contentType)], body: .bytes(Array(text.utf8)))
    }

    /// A response of JSON that is already encoded.
    public static func json(_ json: [UInt8], status: Int = 200, headers: [(name: String, value: String)] = []) -> Self {
        HTTPResponse(status: status, headers: [("Content-Type", "application/json")] + headers, body: .bytes(json))
    }

    /// A value as JSON, followed by a line feed; 500 for a value that JSON cannot represent.
    public static func json(
        of value: some Encodable,
        status: Int = 200,
        headers: [(name: String, value: String)] = []
    ) -> Self {
        do {
            return .json(Array((try JSONText.encoded(value) + "\n").utf8), status: status, headers: headers)
        } catch {
            return .error(500, "the reply cannot be written as JSON: \(error)")
        }
    }

    /// An error as JSON: `{"error": {"message": ..., "field": ...}}`.
    public static func error(
        _ status: Int,
        _ message: String,
        field: String? = nil,
        headers: [(name: String, value: String)] = []
    ) -> Self {
        .json(of: ErrorReply(error: .init(message: message, field: field)), status: status, headers: headers)
    }

    /// Server-sent events, written by a closure.
    public static func serverSentEvents(_ body: @escaping @Sendable (HTTPStreamWriter) async throws -> Void) -> Self {
        HTTPResponse(
            status: 200,
            headers: [("Content-Type", "text/event-stream"), ("Cache-Control", "no-store")],
            body: .stream(body)
        )
    }
}

/// What `HTTPResponse.error` says.
private struct ErrorReply: Encodable {
    struct Failure: Encodable {
        let message: String
        let field: String?
    }

    let error: Failure
}
