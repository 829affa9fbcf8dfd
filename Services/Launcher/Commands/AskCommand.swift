import Foundation
import Bytes
public import Messages
public import ServiceRuntime
import Flows
import SystemClient

/// `userllm ask USER "question"`: sends one question to a running system.
enum AskCommand {
    private static let formKey = ConfigurationKey<Question.AnswerForm>(
        "form",
        default: .known,
        help: "What the answer may be: a title or category the model knows, a title, a category, any text, or a text "
            + "whose marked titles are the catalogue's"
    )
    private static let itemsKey = ConfigurationKey<Int>(
        "items",
        default: 5,
        in: 1...1_000,
        help: "How many titles to rank"
    )
    private static let includeSeenKey = ConfigurationKey<Bool>(
        "include-seen",
        default: false,
        help: "Titles that the user has had may be in the answer too"
    )
    private static let systemKey = ConfigurationKey<String>(
        "system",
        help: "What a chat model is told before the question"
    )
    private static let maximumTokensKey = ConfigurationKey<Int>(
        "maximum-tokens",
        default: 32,
        in: 1...Limits.tokenCount,
        unit: "tokens",
        help: "At most so many tokens of a text; with --form text"
    )
    private static let temperatureKey = ConfigurationKey<Double>(
        "temperature",
        default: 0,
        in: 0...100,
        help: "0 takes the likeliest token of a text, more samples"
    )
    private static let topKKey = ConfigurationKey<Int>(
        "top-k",
        default: 0,
        in: 0...Limits.topK,
        unit: "tokens",
        help: "Samples from so many of the likeliest tokens, 0 being all; with --form text and --temperature"
    )
    private static let topPKey = ConfigurationKey<Double>(
        "top-p",
        default: 1,
        help:
            "Samples from the likeliest tokens that are so probable together, 1 being all; with --form text and --temperature",
        expectation: "above 0, to 1",
        isAllowed: { $0 > 0 && $0 <= 1 }
    )
    private static let seedKey = ConfigurationKey<UInt64>(
        "seed",
        default: 0,
        help: "Seed of the sampling: the same one gives the same answer; with --temperature"
    )
    private static let stopKey = ConfigurationKey<String>(
        "stop",
        help: "A text at which the answer ends; with --form text"
    )
    private static let atLeastKey = ConfigurationKey<UInt64>(
        "at-least-events",
        default: 0,
        unit: "events",
        help: "Waits until the answer knows at least this many of the user's events"
    )
    private static let timeoutKey = ConfigurationKey<Duration>(
        "timeout",
        default: .seconds(30),
        in: .milliseconds(1) ... .seconds(3_600),
        help: "After this long the answer is \"expired\""
    )
    private static let gatewayKey = ConfigurationKey<String>(
        "gateway",
        help: "The gateway's address; without one, that of the system on the data folder"
    )
    private static let jsonKey = ConfigurationKey<Bool>("json", default: false, help: "Prints the answer as JSON")

    static let keys: [any AnyConfigurationKey] = [
        formKey, itemsKey, includeSeenKey, systemKey, maximumTokensKey, temperatureKey, seedKey, topKKey, topPKey,
        stopKey, atLeastKey, timeoutKey, gatewayKey, jsonKey, SystemConfiguration.dataKey,
    ]

    /// The command as the program lists it.
    static let command = Command(
        "ask",
        summary: "Asks the running system about a user",
        arguments: [
            CommandArgument("user", help: "the user's id"),
            CommandArgument("question", help: "the question, in quotes"),
        ],
        keys: keys
    ) { context in
        let question = try question(
            context.argument("question") ?? "",
            of: UserID(context.argument("user") ?? ""),
            context.configuration
        )
        let client = SystemClient(gateway: try gateway(context), ingestor: "")
        let answer = try await client.ask(question)
        if try context.configuration.value(of: jsonKey) {
            Console().show(String(decoding: try answer.encodedJSON(), as: UTF8.self))
        } else {
            Console().show(text(of: answer))
        }
        if answer.status == .failed || answer.status == .expired { throw ProcessFailure(shown(answer.reason)) }
    }

    static func question(_ text: String, of user: UserID, _ configuration: ConfigurationReader) throws -> Question {
        let now = WallClock.milliseconds
        let timeout = try configuration.value(of: timeoutKey)
        return Question(
            id: QuestionID(UUID().uuidString.lowercased()),
            user: user,
            text: text,
            system: try configuration.optionalValue(of: systemKey),
            form: try configuration.value(of: formKey),
            itemCount: try configuration.value(of: itemsKey),
            maximumTokens: try configuration.value(of: maximumTokensKey),
            temperature: Float(try configuration.value(of: temperatureKey)),
            seed: try configuration.value(of: seedKey),
            topK: try configuration.value(of: topKKey),
            topP: Float(try configuration.value(of: topPKey)),
            stop: try configuration.optionalValue(of: stopKey).map { [$0] } ?? [],
            includesSeen: try configuration.value(of: includeSeenKey),
            minimumEventCount: try configuration.value(of: atLeastKey),
            askedAt: now,
            deadline: now + Int64(timeout / .milliseconds(1))
        )
    }

    private static func gateway(_ context: ProcessContext) throws -> String {
        if let address = try context.configuration.optionalValue(of: gatewayKey) { return address.trimmingSuffix("/") }
        let data = try context.configuration.value(of: SystemConfiguration.dataKey).absolutePath
        guard let address = SystemState.running(on: data)?.gateways.first else {
            throw ProcessFailure(
                "no system with a gateway runs on \(data): start one with `userllm up --data \(data)`, "
                    + "or name a gateway with --gateway http://host:port"
            )
        }
        return address
    }

    private static func shown(_ text: String) -> String { ControlCharacters.escaped(text) }

    static func text(of answer: Answer) -> String {
        var lines: [String] = []
        if !answer.text.isEmpty { lines.append(shown(answer.text)) }
        if answer.finish == .length {
            lines.append("[cut: it has as many tokens as were asked for, or as the model takes; see --maximum-tokens]")
        }
        for (rank, item) in answer.items.enumerated() {
            lines.append(
                "  \(rank + 1). \(shown(item.title))  (\(item.score.formatted(.number.precision(.fractionLength(2)))))"
            )
        }
        switch answer.status {
        case .answered: lines.append("[knows \(answer.eventCount) events of \(shown(answer.user.text))]")
        case .noHistory: lines.append("[no history: \(shown(answer.user.text)) has no events yet]")
        case .expired, .failed: lines.append("[\(answer.status.rawValue): \(shown(answer.reason))]")
        }
        let compute = Double(answer.computeMicroseconds) / 1_000
        // The times come from the answer itself.
        let time = answer.answeredAt.subtractingReportingOverflow(answer.askedAt)
        lines.append(
            "[\(time.overflow ? 0 : time.partialValue) ms, of which "
                + "\(compute.formatted(.number.precision(.fractionLength(0)))) ms in the model]"
        )
        return lines.joined(separator: "\n")
    }
}

extension Question.AnswerForm: ConfigurationValue {}
