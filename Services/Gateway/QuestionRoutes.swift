import Foundation
import HTTPServer
import Bytes
import JSON
import Messages
import ServiceRuntime
import Flows
import MessageLogs

/// What the gateway answers over HTTP.
struct QuestionRoutes: Sendable {
    /// How long `GET /v1/answers/{id}` waits by default.
    private static let usualWait: Duration = .seconds(30)

    let log: any MessageLog
    let board: AnswerBoard
    let waitingRoom: WaitingRoom
    let configuration: GatewayConfiguration
    let metrics: GatewayMetrics

    var router: HTTPRouter {
        var router = HTTPRouter()
        router.on("POST", "/v1/questions") { await ask($0) }
        router.on("GET", "/v1/answers/{id}") { await answer($0) }
        router.on("GET", "/v1/answers/{id}/stream") { follow($0) }
        return router
    }

    // MARK: - Asking

    /// Appends a question to the log; with `wait`, or as a stream, also returns its answer.
    private func ask(_ request: HTTPRequest) async -> HTTPResponse {
        let question: Question
        let wait: Duration
        do throws(MessageError) {
            wait = try self.wait(request) ?? .zero
            question = try QuestionBody(request.body)
                .question(now: WallClock.milliseconds, defaultDeadline: configuration.questionDeadline)
        } catch {
            return .error(400, error.description, field: error.field)
        }
        // Before it is asked, so that a caller who may not wait can send it again.
        let wantsStream = Self.wantsStream(request)
        let seat: WaitingRoom.Seat?
        do throws(WaitingRoom.Refusal) {
            seat = wantsStream || wait > .zero ? try waitingRoom.enter(request.client) : nil
        } catch {
            return Self.response(to: error)
        }
        defer { withExtendedLifetime(seat) {} }
        // A caller that resends its question with the same id does not ask twice.
        switch board.claim(question) {
        case .known: break
        case .new:
            do throws(StreamError) {
                try await append(question)
            } catch {
                board.unclaim(question)
                return response(to: error)
            }
        case .differs:
            return .error(
                409,
                "you have asked another question with this id: choose another id, or send none",
                field: "id"
            )
        case .taken:
            return .error(409, "this id is taken: choose another id, or send none", field: "id")
        }
        let user = question.user
        if wantsStream {
            return stream(to: question.id, of: user, within: wait > .zero ? wait : configuration.maximumWait, seat)
        }
        if wait > .zero, case .answer(let answer) = await outcome(of: question.id, of: user, within: wait) {
            return Self.response(with: answer)
        }
        return Self.accepted(question)
    }

    private func append(_ question: Question) async throws(StreamError) {
        let value: [UInt8]
        do throws(MessageError) {
            value = try question.encoded()
        } catch {
            throw .fatal("a question that was checked cannot be encoded: \(error)")
        }
        try await log.append([
            OutgoingRecord(topic: Topic.questions.rawValue, key: Array(question.user.utf8), value: value)
        ])
        metrics.questions.increment()
    }

    private func response(to error: StreamError) -> HTTPResponse {
        metrics.sendingErrors.increment()
        if case .tooLarge(_, let byteCount, let limit) = error {
            return .error(413, "the question has \(byteCount) bytes: send at most \(limit)")
        }
        return .error(503, "\(error); send the question again with the same id", headers: [("Retry-After", "2")])
    }

    private static func accepted(_ question: Question) -> HTTPResponse {
        let path = "/v1/answers/\(PercentEncoding.encode(question.id.text))"
        // Nobody else has an id that we generated; an id chosen by the caller may also be another user's.
        let isOurs = UUID(uuidString: question.id.text) != nil
        let user = isOurs ? "" : "?user=\(PercentEncoding.encode(question.user.text))"
        let reply = AcceptedQuestion(
            id: question.id.text,
            user: question.user.text,
            deadline: question.deadline,
            answer: path + user,
            stream: path + "/stream" + user
        )
        return .json(of: reply, status: 202, headers: [("Location", path + user)])
    }

    private static func response(to refusal: WaitingRoom.Refusal) -> HTTPResponse {
        switch refusal {
        case .client:
            .error(
                429,
                "too many requests of this address wait for answers: ask again later, or without waiting (wait=0)",
                headers: [("Retry-After", "1")]
            )
        case .all:
            .error(
                503,
                "too many requests wait for answers: ask again later, or without waiting (wait=0)",
                headers: [("Retry-After", "1")]
            )
        }
    }

    // MARK: - Answers

    /// The parameters of `/v1/answers/{id}?user=...&wait=...`; the user is optional if we generated the id.
    private struct Wanted {
        let id: QuestionID
        let user: UserID?
        let wait: Duration
    }

    private func wanted(_ request: HTTPRequest, usualWait: Duration) throws(MessageError) -> Wanted {
        let id = request.pathParameters["id"] ?? ""
        let user = request.queryValue("user")
        for (field, text) in [("id", id), ("user", user ?? "-")] {
            guard (1...Limits.identifierByteCount).contains(text.utf8.count) else {
                let reason = "has \(text.utf8.count) bytes: send 1 to \(Limits.identifierByteCount)"
                throw MessageError(field: field, reason: reason)
            }
        }
        return Wanted(id: QuestionID(id), user: user.map { UserID($0) }, wait: try wait(request) ?? usualWait)
    }

    /// Returns an answer, and waits for it; 404 means that there is none yet.
    private func answer(_ request: HTTPRequest) async -> HTTPResponse {
        if Self.wantsStream(request) { return follow(request) }
        let wanted: Wanted
        do throws(MessageError) {
            wanted = try self.wanted(request, usualWait: min(Self.usualWait, configuration.maximumWait))
        } catch {
            return .error(400, error.description, field: error.field)
        }
        let seat: WaitingRoom.Seat?
        do throws(WaitingRoom.Refusal) {
            seat = wanted.wait > .zero ? try waitingRoom.enter(request.client) : nil
        } catch {
            return Self.response(to: error)
        }
        defer { withExtendedLifetime(seat) {} }
        switch await outcome(of: wanted.id, of: wanted.user, within: wanted.wait) {
        case .answer(let answer): return Self.response(with: answer)
        case .ambiguous: return Self.ambiguous
        default:
            let message = "there is no answer to question \(wanted.id) yet: ask again later, or check the id"
            return .error(404, message, headers: [("Retry-After", "1")])
        }
    }

    private static let ambiguity = "several users have a question with this id: add ?user= to say whose"
    private static let ambiguous = HTTPResponse.error(409, ambiguity, field: "user")

    /// The last news of a question; nil if there was none in time.
    private func outcome(of id: QuestionID, of user: UserID?, within wait: Duration) async -> AnswerBoard.News? {
        let watch = board.watch(id, of: user)
        metrics.waiting.add(1)
        defer {
            board.stop(watch)
            metrics.waiting.add(-1)
        }
        return await withTaskGroup(of: AnswerBoard.News?.self) { group in
            group.addTask {
                for await news in watch.news {
                    switch news {
                    case .answer, .ambiguous: return news
                    default: continue
                    }
                }
                return nil
            }
            group.addTask {
                try? await Task.sleep(for: wait)
                // Lets the reader receive the news that is already there, and end.
                board.stop(watch)
                return nil
            }
            defer { group.cancelAll() }
            for await news in group { if let news { return news } }
            return nil
        }
    }

    private static func response(with answer: Answer) -> HTTPResponse {
        do throws(MessageError) {
            return .json(try answer.encodedJSON())
        } catch {
            return .error(500, "the answer cannot be written as JSON: \(error)")
        }
    }

    // MARK: - Streams

    private static func wantsStream(_ request: HTTPRequest) -> Bool {
        request.header("accept")?.lowercased().contains("text/event-stream") ?? false
    }

    private func follow(_ request: HTTPRequest) -> HTTPResponse {
        do {
            let wanted = try wanted(request, usualWait: configuration.maximumWait)
            let seat = try waitingRoom.enter(request.client)
            return stream(to: wanted.id, of: wanted.user, within: wanted.wait, seat)
        } catch let error as MessageError {
            return .error(400, error.description, field: error.field)
        } catch {
            return Self.response(to: error as? WaitingRoom.Refusal ?? .all)
        }
    }

    /// Sends pieces as they come (`token`), then the answer (`answer`); `pending` if it did not come in time,
    /// `ambiguous` if several users have a question with this id.
    private func stream(to id: QuestionID, of user: UserID?, within wait: Duration, _ seat: WaitingRoom.Seat?)
        -> HTTPResponse
    {
        .serverSentEvents { writer in
            defer { withExtendedLifetime(seat) {} }
            let watch = board.watch(id, of: user)
            metrics.waiting.add(1)
            defer {
                board.stop(watch)
                metrics.waiting.add(-1)
            }
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask {
                    await Self.beat(watch, every: configuration.heartbeat, for: wait) { board.stop(watch) }
                }
                // A client that disconnects cancels this task.
                defer { group.cancelAll() }
                try await Self.send(watch, to: writer)
            }
        }
    }

    private static func send(_ watch: AnswerBoard.Watch, to writer: HTTPStreamWriter) async throws {
        for await news in watch.news {
            switch news {
            case .heartbeat: try await writer.sendHeartbeat()
            case .ambiguous:
                return try await writer.send(event: "ambiguous", json: ["message": ambiguity])
            case .token(let token):
                try await writer.send(event: "token", json: Piece(position: token.position, text: token.text))
            case .answer(let answer):
                return try await writer.send(
                    event: "answer",
                    data: String(decoding: answer.encodedJSON(), as: UTF8.self)
                )
            }
        }
        try await writer.send(event: "pending", json: ["id": watch.question.text])
    }

    private static func beat(
        _ watch: AnswerBoard.Watch,
        every interval: Duration,
        for wait: Duration,
        atEnd: () -> Void
    ) async {
        let end = ContinuousClock.now + wait
        while !Task.isCancelled, ContinuousClock.now < end {
            try? await Task.sleep(for: min(interval, end - .now))
            watch.beat()
        }
        atEnd()
    }

    // MARK: - The query

    /// The value of `?wait=seconds`, up to the longest wait allowed; nil if it is missing.
    private func wait(_ request: HTTPRequest) throws(MessageError) -> Duration? {
        guard let text = request.queryValue("wait") else { return nil }
        let longest = configuration.maximumWait / .seconds(1)
        guard let seconds = Double(text), (0...86_400).contains(seconds) else {
            throw MessageError(
                field: "wait",
                reason: "\"\(text.prefix(40))\" is not a number of seconds: send one from 0 to \(longest)"
            )
        }
        return min(.seconds(seconds), configuration.maximumWait)
    }
}

/// The reply to a question that was accepted and is not answered yet: where its answer will be.
private struct AcceptedQuestion: Encodable {
    let id: String
    var status = "pending"
    let user: String
    let deadline: Int64
    let answer: String
    let stream: String
}

/// A piece of an answer in a stream.
private struct Piece: Encodable {
    let position: UInt32
    let text: String
}

extension HTTPStreamWriter {
    fileprivate func send(event: String, json value: some Encodable) async throws {
        try await send(event: event, data: JSONText.encoded(value))
    }
}
