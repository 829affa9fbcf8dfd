import Foundation
import ServiceRuntime
import Verification

/// `verify faults`: everything goes wrong, and nothing is lost or doubled.
enum FaultsCommand {
    private static let logKey = ConfigurationKey<SystemUnderTest.LogKind>(
        "log",
        default: .postgres,
        help: "The message log"
    )
    private static let minutesKey = ConfigurationKey<Double>(
        "minutes",
        default: 1,
        in: 0.1...10_000,
        unit: "minutes",
        help: "How long things go wrong"
    )
    private static let seedKey = ConfigurationKey<Int>(
        "seed",
        default: 1,
        in: 0...Int.max,
        help: "Of the faults and the load; the same seed draws the same"
    )

    private static let onlyKey = ConfigurationKey<String>(
        "only",
        default: "",
        help: "Kinds of faults, separated by commas, to look closer at some; empty stands for all"
    )
    private static let questionsKey = ConfigurationKey<Double>(
        "questions",
        default: 1,
        in: 0.01...1_000,
        unit: "questions a second",
        help: "How many questions are asked"
    )
    private static let protectionKey = ConfigurationKey<String>(
        "without-protection",
        default: "",
        help: "Protections that the additional processes go without, separated by commas: the run should then fail"
    )

    /// The command as the program lists it.
    static let command = Command(
        "faults",
        summary:
            "Lets everything go wrong under load, by a seeded schedule, and checks that nothing is lost or doubled",
        keys: [logKey, minutesKey, seedKey, onlyKey, questionsKey, protectionKey, SystemUnderTest.jsonKey]
    ) { context in
        let reader = context.configuration
        let log = try reader.value(of: logKey)
        var options = FaultsVerification.Options(
            overKafka: log == .kafka,
            duration: .seconds(60 * (try reader.value(of: minutesKey))),
            seed: UInt64(try reader.value(of: seedKey))
        )
        options.kinds = try kinds(try reader.value(of: onlyKey))
        options.questionsPerSecond = try reader.value(of: questionsKey)
        options.withoutProtection = try reader.value(of: protectionKey)
        let result = try await run(options, context)
        if try reader.value(of: SystemUnderTest.jsonKey) {
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
            print(String(decoding: try encoder.encode(result), as: UTF8.self))
        } else {
            show(result, log)
        }
        guard !result.isRight else { return }
        throw ProcessFailure(
            "\(result.problems.count) promises were not kept; seed \(result.seed), "
                + "everything is kept in \(result.folder ?? "")"
        )
    }

    private static func kinds(_ names: String) throws -> Set<Fault.Kind> {
        Set(
            try names.split(separator: ",").map { name in
                guard let kind = Fault.Kind(rawValue: name.trimmingCharacters(in: .whitespaces)) else {
                    let known = Fault.Kind.allCases.map(\.rawValue).joined(separator: ", ")
                    throw ConfigurationError.usage("--only: \"\(name)\" is no kind of fault: there are \(known)")
                }
                return kind
            }
        )
    }

    /// Runs it until Ctrl-C, after which everything that was started and mounted is taken away.
    private static func run(
        _ options: FaultsVerification.Options,
        _ context: ProcessContext
    ) async throws -> FaultsVerification.Result {
        let verification = FaultsVerification(options) { text in
            FileHandle.standardError.write(Data("verify: \(text)\n".utf8))
        }
        let (results, found) = AsyncStream<FaultsVerification.Result>.makeStream()
        try await context.run("faults") { shutdown in
            if let result = try await shutdown.cancelling({ try await verification.run() }) { found.yield(result) }
        }
        found.finish()
        for await result in results { return result }
        throw ProcessFailure("interrupted", exitCode: .interrupted)
    }

    private static func show(_ result: FaultsVerification.Result, _ log: SystemUnderTest.LogKind) {
        let findings = result.findings
        var lines: [(String, String)] = [
            ("log", "\(log.rawValue), seed \(result.seed), \(Int(result.seconds)) s"),
            ("faults", "\(result.faults.values.reduce(0, +)), and \(result.leftOut) left out"),
        ]
        lines += result.faults.sorted { ($0.value, $1.key) > ($1.value, $0.key) }.map { ("", "\($0.value) \($0.key)") }
        lines += [
            ("started again", "\(result.restarts) processes"),
            ("events acknowledged", "\(result.acknowledgedEvents), \(result.repeatedRequests) requests sent again"),
            (
                "records of the log",
                "\(findings.records) = \(findings.applied) applied + \(findings.duplicates) known + "
                    + "\(findings.rejected) rejected + \(findings.deletions) deletions + "
                    + "\(findings.rerouted) sent on + \(findings.resent) of those again"
            ),
            ("questions", "\(result.questions) acknowledged"),
            ("looks at the rows", "\(result.looks)"),
            ("healed after", "\(result.healedAfter.formatted(.number.precision(.fractionLength(1)))) s"),
            ("rows", "\(findings.users), worst difference \(findings.worstDifference)"),
            (
                "checked",
                "acknowledged, timelines, embeddings, offsets, rejected, rows, answers: "
                    + (result.isRight ? "all right" : "\(result.problems.count) WRONG")
            ),
        ]
        lines += result.forgottenOffsets.map { ("forgotten by broker", $0) }
        lines += result.problems.map { ("WRONG", $0) }
        if !result.isRight { lines += result.schedule.map { ("schedule", "\($0)") } }
        for (name, value) in lines { print(name.padding(toLength: 20, withPad: " ", startingAt: 0) + "  " + value) }
    }
}
