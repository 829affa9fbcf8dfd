import Bytes
import Foundation
import HTTPClient
import JSON
import Messages
import ServiceRuntime
import Verification

/// `benchmarks answers`: texts of a pretrained model through HTTP, log and responder, for one user and for many at once.
enum AnswersCommand {
    private static let modelKey = ConfigurationKey<String>(
        "model",
        help: "The language model: a GGUF file or a Hugging Face folder"
    )
    private static let weightsKey = ConfigurationKey<String>(
        "weights",
        default: "int8",
        help: "How the responder keeps the weights: stored, int8, bfloat16, float32"
    )
    private static let cacheKey = ConfigurationKey<String>(
        "cache-format",
        default: "bfloat16",
        help: "How the responder keeps keys and values: float32, bfloat16, int8"
    )
    private static let usersKey = ConfigurationKey<Int>(
        "users",
        default: 8,
        in: 1...1_000,
        help: "Users who ask one question after the other"
    )
    private static let questionsKey = ConfigurationKey<Int>(
        "questions",
        default: 6,
        in: 1...10_000,
        help: "Questions of each user in a round"
    )
    private static let tokensKey = ConfigurationKey<Int>(
        "tokens",
        default: 64,
        in: 1...4_096,
        help: "The most tokens of an answer"
    )
    private static let roundsKey = ConfigurationKey<Int>("rounds", default: 3, in: 1...1_000, help: "Rounds of each")

    /// The command as the program lists it.
    static let command = Command(
        "answers",
        summary: "Asks a pretrained model through HTTP, log and responder: first token, answers a minute, memory",
        keys: [modelKey, weightsKey, cacheKey, usersKey, questionsKey, tokensKey, roundsKey] + StreamStage.keys
    ) { context in
        let reader = context.configuration
        let users = try reader.value(of: usersKey)
        let questions = try reader.value(of: questionsKey)
        let rounds = try reader.value(of: roundsKey)
        let (weights, cache) = (try reader.value(of: weightsKey), try reader.value(of: cacheKey))
        try await StreamStage.run(reader, languageModel: try reader.value(of: modelKey)) { stage in
            let patience = ["--maximum-wait", "120s", "--question-deadline", "120s"]
            let gateway = try await stage.start("gateway", patience, servesHTTP: true)
            let responder = try await stage.start(
                "llm-responder",
                ["--bundle", stage.bundle, "--weights", weights, "--cache-format", cache, "--answer-limit", "120s"]
            )
            let asker = Asker(port: gateway.port, tokens: try reader.value(of: tokensKey))
            var table = BenchmarkTable(
                benchmark: "answers",
                settings: [
                    "log": try reader.value(of: StreamStage.logKey).rawValue, "weights": weights, "cache": cache,
                    "rounds": "\(rounds)", "questions": "\(questions)",
                ]
            )
            // The first ones warm everything up.
            for number in 0..<3 { _ = try await asker.firstToken(number) }
            let first = Latencies(try await firstTokens(asker, 10 * rounds))
            table.rows = [
                .init("first token, nothing else running, p50", first.p50, "ms"),
                .init("first token, nothing else running, p99", first.p99, "ms"),
            ]
            for count in Set([1, users]).sorted() {
                var rates: [Double] = []
                var answers: [Answer] = []
                for round in 0..<rounds {
                    let (found, time) = try await ask(asker, users: count, questions, round)
                    answers += found
                    rates.append(60 * Double(found.reduce(0) { $0 + Int($1.answerTokens) }) / time)
                }
                let prompt = answers.reduce(0) { $0 + Int($1.promptTokens) } / answers.count
                let answer = Double(answers.reduce(0) { $0 + Int($1.answerTokens) }) / Double(answers.count)
                let limit = Double(asker.tokens)
                table.rows += [
                    .init("\(count) users: answers of \(asker.tokens) tokens", median(rates) / limit, "a minute"),
                    .init("\(count) users: tokens of a prompt", Double(prompt), "tokens"),
                    .init("\(count) users: tokens of an answer", answer, "tokens"),
                ]
            }
            table.rows.append(.init("memory of the responder", try megabytes(of: responder), "MB"))
            try table.show(reader)
        }
    }

    private static func firstTokens(_ asker: Asker, _ count: Int) async throws -> [Duration] {
        var times: [Duration] = []
        for number in 0..<count { times.append(try await asker.firstToken(number)) }
        return times
    }

    /// Each user asks one question after the other.
    private static func ask(
        _ asker: Asker,
        users: Int,
        _ questions: Int,
        _ round: Int
    ) async throws -> (answers: [Answer], seconds: Double) {
        let start = ContinuousClock.now
        let answers = try await withThrowingTaskGroup(of: [Answer].self) { group in
            for user in 0..<users {
                group.addTask {
                    var answers: [Answer] = []
                    for question in 0..<questions {
                        answers.append(try await asker.answer(user, round * 1_009 + user * 211 + question * 37))
                    }
                    return answers
                }
            }
            return try await group.reduce(into: [Answer]()) { $0 += $1 }
        }
        return (answers, (ContinuousClock.now - start) / .seconds(1))
    }

    /// The resident memory of a process, the mapped files that it has touched included.
    private static func megabytes(of service: StreamStage.RunningService) throws -> Double {
        let status = try String(contentsOfFile: "/proc/\(service.child.id)/status", encoding: .utf8)
        let line = status.split(separator: "\n").first { $0.hasPrefix("VmHWM:") } ?? ""
        let kilobytes = line.split(separator: " ").dropFirst().first.flatMap { Double($0) }
        guard let kilobytes else { throw VerificationError("no VmHWM in \(status)") }
        return kilobytes / 1_024
    }

    /// Sends questions to the gateway.
    private struct Asker: Sendable {
        let url: String
        let tokens: Int
        private let http = HTTPClient()

        init(port: Int, tokens: Int) {
            url = "http://127.0.0.1:\(port)/v1/questions"
            self.tokens = tokens
        }

        private struct Body: Encodable {
            let user: String
            let question: String
            var form = "text"
            let maximumTokens: Int
        }

        private func request(_ body: Body, stream: Bool) throws -> HTTPClientRequest {
            let encoder = JSONEncoder()
            encoder.keyEncodingStrategy = .convertToSnakeCase
            return HTTPClientRequest(
                "POST",
                "\(url)?wait=120",
                headers: [("content-type", "application/json")] + (stream ? [("accept", "text/event-stream")] : []),
                body: Array(try encoder.encode(body)),
                timeout: .seconds(150)
            )
        }

        /// From the request to the first piece of the answer's text.
        func firstToken(_ number: Int) async throws -> Duration {
            let start = ContinuousClock.now
            let body = Body(user: "first", question: "Tell me about film number \(number).", maximumTokens: 16)
            var time: Duration?
            for try await event in http.serverSentEvents(try request(body, stream: true)) {
                if event.name == "token", time == nil { time = ContinuousClock.now - start }
            }
            guard let time else { throw VerificationError("no token came") }
            return time
        }

        /// A long answer to a question of about 100 tokens, to which the chat template adds some 30 that all share.
        func answer(_ user: Int, _ number: Int) async throws -> Answer {
            let words = (0..<82).map { Self.words[(number &* 31 &+ $0 &* $0) % Self.words.count] }
            let question = "Write a long story of many sentences with these words: \(words.joined(separator: " "))"
            let body = Body(user: "user \(user)", question: question, maximumTokens: tokens)
            let response = try await http.send(try request(body, stream: false))
            guard response.status == 200 else { throw VerificationError("\(response.status) \(response.text)") }
            let answer = try Answer(decoding: response.body, contentType: "application/json")
            guard [.answered, .noHistory].contains(answer.status) else { throw VerificationError(answer.reason) }
            return answer
        }

        private static let words = """
            river house morning letter garden window winter captain island forest music paper silver summer bridge \
            mountain village doctor teacher ship market candle mirror shadow thunder horse stone ocean castle night
            """.split { $0 == " " || $0 == "\n" }.map(String.init)
    }
}
