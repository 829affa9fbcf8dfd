import Datasets
import Bytes
import ServiceRuntime
import Verification

/// `verify questions`: one answer each, while events flow.
enum QuestionsCommand {
    private static let countKey = ConfigurationKey<Int>(
        "count",
        default: 1_000,
        in: 1...10_000_000,
        help: "How many questions"
    )
    private static let concurrencyKey = ConfigurationKey<Int>(
        "concurrency",
        default: 8,
        in: 1...1_000,
        help: "How many questions are open at a time"
    )
    private static let killKey = ConfigurationKey<Bool>(
        "kill",
        default: false,
        help: "Ends responder, worker and writer once with kill -9 on the way"
    )

    private static let responderKillsKey = ConfigurationKey<Int>(
        "responder-kills",
        default: 0,
        in: 0...100_000,
        help: "How often the responder is ended with kill -9, evenly over the questions"
    )
    private static let textTokensKey = ConfigurationKey<Int>(
        "text-tokens",
        default: 0,
        in: 0...4_096,
        help: "Asks for texts of at most so many tokens; 0 asks for titles and categories"
    )

    /// The command as the program lists it.
    static let command = Command(
        "questions",
        summary: "Asks while events flow, and counts the answers in their topic",
        keys: [countKey, concurrencyKey, killKey, responderKillsKey, textTokensKey] + SystemUnderTest.keys
    ) { context in
        let reader = context.configuration
        let test = try SystemUnderTest(reader: reader)
        let count = try reader.value(of: countKey)
        let concurrency = try reader.value(of: concurrencyKey)
        let textTokens = try reader.value(of: textTokensKey)
        var kills = try reader.value(of: killKey) ? ["llm-responder", "encoder-worker", "embedding-writer"] : []
        kills += [String](repeating: "llm-responder", count: try reader.value(of: responderKillsKey))
        let result = try await test.run(catalogue: test.world.catalogue) { system, _, _ in
            try await QuestionsVerification(
                system,
                world: test.world,
                count: count,
                concurrency: concurrency,
                kills: kills,
                textTokens: textTokens,
                say: test.say
            ).run()
        } text: { result in
            [
                ("questions", "\(result.questions), \(concurrency) open at a time"),
                ("answered once", "\(result.answeredOnce)"),
                (
                    "ended",
                    result.statuses.sorted { $0.key < $1.key }.map { "\($0.value) \($0.key)" }.joined(separator: ", ")
                ),
                ("question to answer", SystemUnderTest.shown(result.latency)),
                ("of that, computed", SystemUnderTest.shown(result.computed)),
                ("events meanwhile", "\(result.events)"),
                ("killed on the way", shown(result.killed)),
            ] + SystemUnderTest.shown(result.mismatches)
        }
        if !result.isRight { throw ProcessFailure("not every question has exactly one answer") }
    }

    private static func shown(_ killed: [String]) -> String {
        let counts = Dictionary(grouping: killed) { $0 }.mapValues(\.count).sorted { $0.key < $1.key }
        return counts.isEmpty ? "nothing" : counts.map { "\($0.key) \($0.value) times" }.joined(separator: ", ")
    }
}
