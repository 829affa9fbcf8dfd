import HTTPServer
import Identifiers
import JSON
import Messages
import ServiceRuntime
import StreamProcessing
import Streams

/// What the gateway answers over HTTP.
struct QuestionRoutes: Sendable {
    /// How long `GET /v1/answers/{id}` waits when it does not say.
    private static let usualWait: Duration = .seconds(30)

    let log: any MessageLog
    let board: AnswerBoard
    let configuration: GatewayConfiguration
    let metrics: GatewayMetrics

    var router: HTTPRouter {
        var router = HTTPRouter()
        router.on("POST", "/v1/questions") { await ask($0) }
        router.on("GET", "/v1/answers/{id}") { await answer($0) }
        router.on("GET", "/v1/answers/{id}/stream") { stream($0, to: Self.questionID($0)) }
        return router
    }

    // MARK: - Asking

    /// Puts a question into the log; with `wait`, or as a stream, also gives its answer.
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
        // A caller that sends its question again, with its id, does not ask twice.
        if board.claim(question.id) {
            do throws(StreamError) {
                try await append(question, request)
            } catch {
                board.unclaim(question.id)
                return response(to: error)
            }
        }
        if Self.wantsStream(request) { return stream(request, to: question.id) }
        if wait > .zero, let answer = await answer(to: question.id, within: wait) { return Self.response(with: answer) }
        return Self.accepted(question)
    }

    private func append(_ question: Question, _ request: HTTPRequest) async throws(StreamError) {
        let value: [UInt8]
        do throws(MessageError) {
            value = try question.encoded()
        } catch {
            throw .fatal("a question that was checked cannot be encoded: \(error)")
        }
        let requestID = request.header("x-request-id").map { String($0.prefix(128)) } ?? question.id.text
        try await log.append([
            OutgoingRecord(
                topic: Topic.questions.rawValue,
                key: Array(question.user.utf8),
                value: value,
                headers: [Header("request-id", requestID)]
            )
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
        let id = JSONText.quoted(question.id.text)
        let path = "/v1/answers/\(PercentEncoder.encode(question.id.text))"
        let json =
            "{\"id\":\(id),\"status\":\"pending\",\"user\":\(JSONText.quoted(question.user.text)),"
            + "\"deadline\":\(question.deadline),\"answer\":\(JSONText.quoted(path)),"
            + "\"stream\":\(JSONText.quoted(path + "/stream"))}\n"
        return .json(Array(json.utf8), status: 202, headers: [("Location", path)])
    }

    // MARK: - Answers

    /// Gives an answer, waiting for it; 404 says that there is none yet.
    private func answer(_ request: HTTPRequest) async -> HTTPResponse {
        let id = Self.questionID(request)
        if Self.wantsStream(request) { return stream(request, to: id) }
        let wait: Duration
        do throws(MessageError) {
            wait = try self.wait(request) ?? min(Self.usualWait, configuration.maximumWait)
        } catch {
            return .error(400, error.description, field: error.field)
        }
        guard let answer = await answer(to: id, within: wait) else {
            let message = "there is no answer to question \(id) yet: ask again later, or check the id"
            return .error(404, message, headers: [("Retry-After", "1")])
        }
        return Self.response(with: answer)
    }

    private static func questionID(_ request: HTTPRequest) -> QuestionID {
        QuestionID(request.pathParameters["id"] ?? "")
    }

    private func answer(to id: QuestionID, within wait: Duration) async -> Answer? {
        let watch = board.watch(id)
        metrics.waiting.add(1)
        defer {
            board.stop(watch)
            metrics.waiting.add(-1)
        }
        return await withTaskGroup(of: Answer?.self) { group in
            group.addTask {
                for await news in watch.news { if case .answer(let answer) = news { return answer } }
                return nil
            }
            group.addTask {
                try? await Task.sleep(for: wait)
                // Lets the one who reads the news see what is there already, and end.
                board.stop(watch)
                return nil
            }
            defer { group.cancelAll() }
            for await answer in group { if let answer { return answer } }
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

    /// Pieces as they come (`token`), then the answer (`answer`); `pending` when it did not come in time.
    private func stream(_ request: HTTPRequest, to id: QuestionID) -> HTTPResponse {
        let wait: Duration
        do throws(MessageError) {
            wait = try self.wait(request) ?? configuration.maximumWait
        } catch {
            return .error(400, error.description, field: error.field)
        }
        return .serverSentEvents { writer in
            let watch = board.watch(id)
            metrics.waiting.add(1)
            defer {
                board.stop(watch)
                metrics.waiting.add(-1)
            }
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask {
                    await Self.beat(watch, every: configuration.heartbeat, for: wait) { board.stop(watch) }
                }
                // A client that is gone shows in a write that fails, at the latest with the next heartbeat.
                defer { group.cancelAll() }
                try await Self.send(watch, to: writer)
            }
        }
    }

    private static func send(_ watch: AnswerBoard.Watch, to writer: HTTPStreamWriter) async throws {
        for await news in watch.news {
            switch news {
            case .heartbeat: try await writer.sendHeartbeat()
            case .token(let token): try await writer.send(event: "token", data: text(of: token))
            case .answer(let answer):
                return try await writer.send(
                    event: "answer",
                    data: String(decoding: answer.encodedJSON(), as: UTF8.self)
                )
            }
        }
        try await writer.send(event: "pending", data: "{\"id\":\(JSONText.quoted(watch.question.text))}")
    }

    private static func text(of token: AnswerToken) -> String {
        "{\"position\":\(token.position),\"text\":\(JSONText.quoted(token.text))}"
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

    /// `?wait=seconds`, up to the longest that is allowed; nil when it is not there.
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

/// Writes an id so that it can stand in a path.
enum PercentEncoder {
    static func encode(_ text: String) -> String {
        var encoded = ""
        for byte in text.utf8 {
            let scalar = Unicode.Scalar(byte)
            let isPlain = scalar.isASCII && (scalar.properties.isAlphabetic || scalar.properties.numericType != nil)
            if isPlain || "-._~".unicodeScalars.contains(scalar) {
                encoded.unicodeScalars.append(scalar)
            } else {
                encoded += "%" + (byte < 16 ? "0" : "") + String(byte, radix: 16, uppercase: true)
            }
        }
        return encoded
    }
}
