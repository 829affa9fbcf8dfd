import HTTPServer
import Bytes
import JSON
import Messages
import ServiceRuntime
import Flows
import MessageLogs

/// What the event ingestor answers over HTTP.
struct EventRoutes: Sendable {
    let appender: EventAppender
    let maximumEventByteCount: Int
    /// Whether an event with an unknown field is refused.
    let isStrict: Bool
    let metrics: EventIngestorMetrics

    var router: HTTPRouter {
        var router = HTTPRouter()
        router.on("POST", "/v1/events") { await accept($0) }
        router.on("DELETE", "/v1/users/{id}") { await forget($0) }
        return router
    }

    // MARK: - Events

    /// How much of a body is read before the thread is yielded.
    private static let stretch = 256 << 10
    /// How much of a body is read before its events are appended, to bound the memory they take in addition to the
    /// body.
    private static let chunk = 4 << 20

    /// Accepts the valid events of a request and reports the invalid ones.
    private func accept(_ request: HTTPRequest) async -> HTTPResponse {
        var body: EventBody
        do throws(EventBody.Failure) {
            body = try EventBody(request)
            try await body.checkWhole(every: Self.stretch) { await Task.yield() }
        } catch {
            return .error(error.status, error.reason, field: "body")
        }
        let now = WallClock.milliseconds
        var outcome = EventOutcome(isStrict: isStrict)
        while true {
            let records = await read(&body, &outcome, receivedAt: now)
            guard !records.isEmpty else { return outcome.response }
            do throws(EventAppender.Failure) {
                // A partly appended request is always finished: its first part is in the log, and a retry of the whole
                // would duplicate it.
                try await appender.append(records, isContinuation: outcome.acceptedCount > 0)
            } catch {
                return Self.response(to: error, after: outcome.acceptedCount)
            }
            outcome.acceptedCount += records.count
        }
    }

    /// Reads events until there are enough for one append; none at the end, or where reading stops.
    private func read(
        _ body: inout EventBody,
        _ outcome: inout EventOutcome,
        receivedAt now: Int64
    ) async -> [OutgoingRecord] {
        var records: [OutgoingRecord] = []
        let end = body.position + Self.chunk
        var pause = body.position + Self.stretch
        while records.isEmpty || body.position < end, !outcome.isStopped, let piece = body.next() {
            metrics.received.increment()
            do throws(MessageError) {
                records.append(try record(body.bytes, piece.range, receivedAt: now, &outcome.unknown))
            } catch {
                let isTooLarge = piece.range.count > maximumEventByteCount
                metrics.countRejection(isTooLarge ? .tooLarge : .invalid)
                outcome.reject(error, at: piece.place, isTooLarge: isTooLarge)
                if outcome.isFull, body.next() != nil { outcome.stop(after: piece.place) }
            }
            guard body.position > pause else { continue }
            await Task.yield()
            pause = body.position + Self.stretch
        }
        return records
    }

    private func record(
        _ bytes: [UInt8],
        _ range: Range<Int>,
        receivedAt now: Int64,
        _ unknown: inout UnknownFields
    ) throws(MessageError) -> OutgoingRecord {
        guard range.count <= maximumEventByteCount else {
            let reason = "the event has \(range.count) bytes: send at most \(maximumEventByteCount)"
            throw MessageError(field: nil, reason: reason)
        }
        let event = try CheckedEvent(json: bytes, range, receivedAt: now, unknown: &unknown)
        return OutgoingRecord(
            topic: Topic.userEvents.rawValue,
            key: Array(event.user.utf8),
            value: event.encoded()
        )
    }

    // MARK: - Deletion

    /// Appends the deletion of a user, in order with the user's events.
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
        return .json(of: Deletion(user: user), status: 202)
    }

    private struct Deletion: Encodable {
        let user: String
        var status = "deletion accepted"
    }

    private static func response(to failure: EventAppender.Failure, after acceptedCount: Int = 0) -> HTTPResponse {
        let taken = acceptedCount == 0 ? "" : "; the first \(acceptedCount) events of this request were taken"
        return switch failure {
        case .busy:
            .error(
                429,
                "too many events wait for the log: send this request again later",
                headers: [("Retry-After", "1")]
            )
        case .log(.tooLarge(_, let byteCount, let limit)):
            .error(
                413,
                "a record of \(byteCount) bytes is over the log's limit of \(limit) bytes: send a smaller event\(taken)"
            )
        case .log(let error):
            .error(
                503,
                "\(error)\(taken); some events of this request may have been taken, so give events an event_id before sending again",
                headers: [("Retry-After", "2")]
            )
        }
    }
}
