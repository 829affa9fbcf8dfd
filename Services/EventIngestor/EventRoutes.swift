import HTTPServer
import Identifiers
import Messages
import ServiceRuntime
import StreamProcessing
import Streams

/// What the event ingestor answers over HTTP.
struct EventRoutes: Sendable {
    let appender: EventAppender
    let maximumEventByteCount: Int
    let metrics: EventIngestorMetrics

    var router: HTTPRouter {
        var router = HTTPRouter()
        router.on("POST", "/v1/events") { await accept($0) }
        router.on("DELETE", "/v1/users/{id}") { await forget($0) }
        return router
    }

    // MARK: - Events

    /// Takes the good events of a request and says which were not good.
    private func accept(_ request: HTTPRequest) async -> HTTPResponse {
        let body: EventBody
        do throws(EventBody.Failure) {
            body = try EventBody(request)
        } catch {
            return .error(error.status, error.reason, field: "body")
        }
        let outcome = read(body, request)
        if !outcome.records.isEmpty {
            do throws(EventAppender.Failure) {
                try await appender.append(outcome.records)
            } catch {
                return Self.response(to: error)
            }
        }
        return outcome.response
    }

    private func read(_ body: EventBody, _ request: HTTPRequest) -> EventOutcome {
        let now = WallClock.milliseconds
        let headers = request.header("x-request-id").map { [Header("request-id", String($0.prefix(128)))] } ?? []
        var outcome = EventOutcome()
        metrics.received.increment(by: body.pieces.count)
        for piece in body.pieces {
            do throws(MessageError) {
                let event = try event(piece.bytes, receivedAt: now)
                let record = OutgoingRecord(
                    topic: Topic.userEvents.rawValue,
                    key: Array(event.user.utf8),
                    value: try event.encoded(),
                    headers: headers
                )
                outcome.records.append(record)
            } catch {
                let isTooLarge = piece.bytes.count > maximumEventByteCount
                metrics.countRejection(isTooLarge ? .tooLarge : .invalid)
                outcome.reject(error, at: piece.place, isTooLarge: isTooLarge)
            }
        }
        return outcome
    }

    private func event(_ bytes: ArraySlice<UInt8>, receivedAt now: Int64) throws(MessageError) -> Event {
        guard bytes.count <= maximumEventByteCount else {
            let reason = "the event has \(bytes.count) bytes: send at most \(maximumEventByteCount)"
            throw MessageError(field: nil, reason: reason)
        }
        return try Event(decoding: Array(bytes), contentType: ContentType.jsonValue, receivedAt: now)
    }

    // MARK: - Deletion

    /// Appends the deletion of a user, in order with that user's events.
    private func forget(_ request: HTTPRequest) async -> HTTPResponse {
        let user = request.pathParameters["id"] ?? ""
        guard user.utf8.count <= Limits.identifierByteCount else {
            let reason = "the user's id has \(user.utf8.count) bytes: send at most \(Limits.identifierByteCount)"
            return .error(400, reason, field: "id")
        }
        let record = OutgoingRecord(topic: Topic.userEvents.rawValue, key: Array(user.utf8), value: nil)
        do throws(EventAppender.Failure) {
            try await appender.append([record])
        } catch {
            return Self.response(to: error)
        }
        return .json(Array("{\"user\":\(JSONText.quoted(user)),\"status\":\"deletion accepted\"}\n".utf8), status: 202)
    }

    private static func response(to failure: EventAppender.Failure) -> HTTPResponse {
        switch failure {
        case .busy:
            .error(
                429,
                "too many events wait for the log: send this request again later",
                headers: [("Retry-After", "1")]
            )
        case .log(.tooLarge(_, let byteCount, let limit)):
            .error(
                413,
                "a record of \(byteCount) bytes is over the log's limit of \(limit) bytes: send a smaller event"
            )
        case .log(let error):
            .error(
                503,
                "\(error); some events of this request may have been taken, so give events an event_id before sending again",
                headers: [("Retry-After", "2")]
            )
        }
    }
}

/// Which events of a request are good, and what is wrong with the others.
struct EventOutcome {
    /// How many errors a reply tells in full.
    private static let maximumErrorCount = 1_000

    /// The good ones, ready for the log.
    var records: [OutgoingRecord] = []
    private var errors: [String] = []
    private var rejectedCount = 0
    private var tooLargeCount = 0

    /// Remembers what is wrong with an event.
    mutating func reject(_ error: MessageError, at place: EventBody.Place?, isTooLarge: Bool) {
        rejectedCount += 1
        if isTooLarge { tooLargeCount += 1 }
        guard errors.count < Self.maximumErrorCount else { return }
        var json = "{"
        switch place {
        case .line(let line): json += "\"line\":\(line),"
        case .index(let index): json += "\"index\":\(index),"
        case nil: break
        }
        if let field = error.field { json += "\"field\":\(JSONText.quoted(field))," }
        errors.append(json + "\"message\":\(JSONText.quoted(error.description))}")
    }

    /// 202 when all were good; 400 when some were not, 413 when they were only too large; always with the counts.
    var response: HTTPResponse {
        var json = "{\"accepted\":\(records.count),\"rejected\":\(rejectedCount)"
        if rejectedCount > 0 { json += ",\"error\":\(summary),\"errors\":[\(errors.joined(separator: ","))]" }
        let status = rejectedCount == 0 ? 202 : tooLargeCount == rejectedCount ? 413 : 400
        return .json(Array((json + "}\n").utf8), status: status)
    }

    /// The one error, or how many there are.
    private var summary: String {
        if rejectedCount == 1, let error = errors.first { return error }
        let more = rejectedCount > errors.count ? " (the first \(errors.count) are listed)" : ""
        let others = records.isEmpty ? "" : ", the others taken"
        let text = "\(rejectedCount) of \(rejectedCount + records.count) events were refused\(more)\(others)"
        return "{\"message\":\(JSONText.quoted(text))}"
    }
}
