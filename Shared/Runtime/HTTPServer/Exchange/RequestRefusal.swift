/// Why the server answers a request itself, without asking a handler.
///
/// Its connection is closed after each of these answers.
struct RequestRefusal: Error, Equatable, Sendable {
    /// The status of the answer.
    let status: Int
    /// What is wrong, and what to do about it.
    let message: String
    /// The part of the request that is wrong, such as `query` or a header's name.
    let field: String?
    /// After how many seconds the same request may succeed.
    let retryAfter: Int?
    /// Whether the answer is sent before the body is read, as when it is uncertain where that ends.
    let isUnread: Bool

    init(_ status: Int, _ message: String, field: String? = nil, retryAfter: Int? = nil, isUnread: Bool = false) {
        self.status = status
        self.message = message
        self.field = field
        self.retryAfter = retryAfter
        self.isUnread = isUnread
    }

    /// The answer.
    var response: HTTPResponse {
        .error(status, message, field: field, headers: retryAfter.map { [("Retry-After", "\($0)")] } ?? [])
    }

    /// A request that others could parse differently, so that nothing after its head may be read.
    static func framing(_ message: String, field: String? = nil, status: Int = 400) -> Self {
        Self(status, message, field: field, isUnread: true)
    }
}
