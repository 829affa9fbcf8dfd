public import HTTPClient
public import Bytes
public import Messages

/// A running system as its callers see it: events and deletions in, questions in, answers out, all over HTTP.
public struct SystemClient: Sendable {
    private let gateway: String
    private let ingestor: String
    private let http: HTTPClient

    /// Makes a client.
    ///
    /// - Parameters:
    ///   - gateway: a gateway's address, such as `http://127.0.0.1:8080`.
    ///   - ingestor: an event ingestor's address.
    ///   - http: sends the requests.
    public init(gateway: String, ingestor: String, http: HTTPClient = HTTPClient()) {
        self.gateway = gateway
        self.ingestor = ingestor
        self.http = http
    }

    /// Sends events and returns when the log has made all of them durable.
    ///
    /// A log that is briefly busy or unreachable is retried. An event that was stored although the reply was lost then
    /// counts twice, so callers that care give each event an id.
    /// - Throws: `SystemClientError` when one is refused, or when the system does not take them in time.
    public func send(_ events: [Event], within limit: Duration = .seconds(60)) async throws {
        guard !events.isEmpty else { return }
        var body: [UInt8] = []
        for event in events {
            body += try event.encodedJSON()
            body.append(UInt8(ascii: "\n"))
        }
        let request = HTTPClientRequest(
            "POST",
            "\(ingestor)/v1/events",
            headers: [("content-type", "application/x-ndjson")],
            body: body,
            timeout: .seconds(30)
        )
        _ = try await send(request, within: limit, expecting: 202)
    }

    /// Forgets a user.
    ///
    /// - Throws: `SystemClientError` when the system does not take the deletion in time.
    public func delete(user: UserID, within limit: Duration = .seconds(60)) async throws {
        let request = HTTPClientRequest("DELETE", "\(ingestor)/v1/users/\(PercentEncoding.encode(user.text))")
        _ = try await send(request, within: limit, expecting: 202)
    }

    /// Asks a question and waits for its answer until the question's deadline.
    ///
    /// - Returns: the answer, which may say that there is none and why.
    /// - Throws: `SystemClientError` when the gateway refuses the question or gives no answer.
    public func ask(_ question: Question) async throws -> Answer {
        let patience = Duration.milliseconds(question.deadline - question.askedAt) + .seconds(15)
        try await post(question, within: patience)
        return try await answer(to: question.id, of: question.user, within: patience)
    }

    /// Asks a question without waiting for the answer.
    ///
    /// The question keeps its id, so sending it again after a lost reply does not harm consumers that count answers by
    /// id.
    /// - Throws: `SystemClientError` when the gateway refuses it.
    public func post(_ question: Question, within limit: Duration = .seconds(30)) async throws {
        let request = HTTPClientRequest(
            "POST",
            "\(gateway)/v1/questions",
            headers: [("content-type", "application/json")],
            body: try question.encodedJSON()
        )
        _ = try await send(request, within: limit, expecting: 202)
    }

    /// Waits for the answer to a question.
    ///
    /// - Throws: `SystemClientError` when it does not come in time.
    public func answer(to id: QuestionID, of user: UserID? = nil, within limit: Duration) async throws -> Answer {
        let query = user.map { "?user=\(PercentEncoding.encode($0.text))" } ?? ""
        let request = HTTPClientRequest(
            "GET",
            "\(gateway)/v1/answers/\(PercentEncoding.encode(id.text))\(query)",
            timeout: limit
        )
        let response = try await send(request, within: limit, expecting: 200)
        return try Answer(decoding: response.body, contentType: "application/json")
    }

    private func send(
        _ request: HTTPClientRequest,
        within limit: Duration,
        expecting status: Int
    ) async throws -> HTTPClientResponse {
        let end = ContinuousClock.now + limit
        while true {
            let problem: String
            switch await result(of: request) {
            case .failure(let error): problem = error.description
            case .success(let response) where response.status == status: return response
            case .success(let response):
                problem = "\(request.method) \(request.url): \(response.status) \(response.text)"
                // 408, 429 and 5xx mean "later"; 404 means that the answer does not exist yet.
                let isTemporary = response.status >= 500 || [404, 408, 429].contains(response.status)
                if !isTemporary { throw SystemClientError(problem) }
            }
            guard ContinuousClock.now < end else { throw SystemClientError(problem) }
            try await Task.sleep(for: .milliseconds(100))
        }
    }

    private func result(of request: HTTPClientRequest) async -> Result<HTTPClientResponse, HTTPClientError> {
        do throws(HTTPClientError) {
            return .success(try await http.send(request))
        } catch {
            return .failure(error)
        }
    }
}

/// What a running system failed to do, in its own words.
public struct SystemClientError: Error, Sendable, CustomStringConvertible {
    /// The request and what came back.
    public let description: String

    init(_ description: String) {
        self.description = description
    }
}
