import Foundation
import Bytes
import Messages
import ServiceRuntime
import Flows
import MessageLogs
import Synchronization
import Verification

/// `benchmarks waiting`: what questions that wait cost those that need not.
///
/// Two stages run side by side, one of them with the waiters, and fresh questions are asked at both in turn: what else the
/// machine does falls on both alike. What is measured is from appending a question to reading its answer.
enum WaitingCommand {
    private static let waitersKey = ConfigurationKey<Int>(
        "waiters",
        default: 1_000,
        in: 1...10_000,
        help: "How many questions wait, each of a user of its own, with a deadline in a day"
    )
    private static let questionsKey = ConfigurationKey<Int>(
        "questions",
        default: 100,
        in: 10...100_000,
        help: "How many fresh questions are asked with and without, in each round"
    )
    private static let roundsKey = ConfigurationKey<Int>("rounds", default: 5, in: 1...100, help: "How many rounds")

    /// The command as the program lists it.
    static let command = Command(
        "waiting",
        summary: "From a fresh question to its answer, with and without questions that wait",
        keys: [waitersKey, questionsKey, roundsKey] + StreamStage.keys
    ) { context in
        let reader = context.configuration
        let waiters = try reader.value(of: waitersKey)
        let count = try reader.value(of: questionsKey)
        let rounds = try reader.value(of: roundsKey)
        try await StreamStage.run(reader) { free in
            try await StreamStage.run(reader) { busy in
                let responders = try await (start(free), start(busy))
                let askers = try await (Asker(free), Asker(busy))
                // The first ones warm everything up.
                for asker in [askers.0, askers.1] {
                    for _ in 0..<20 { _ = try await asker.ask() }
                }
                try await askers.1.wait(waiters)
                try await poll("all wait", within: .seconds(600)) {
                    try await busy.metric("userllm_llm_responder_questions_parked", of: responders.1) == Double(waiters)
                }
                let before = try await ends(busy)
                var medians: [(without: Double, with: Double)] = []
                for _ in 0..<rounds {
                    var times: (without: [Double], with: [Double]) = ([], [])
                    for _ in 0..<count {
                        times.without.append(try await askers.0.ask())
                        times.with.append(try await askers.1.ask())
                    }
                    medians.append((median(times.without), median(times.with)))
                }
                let appended = try await ends(busy) - before - Int64(rounds * count)
                let parked = try await busy.metric("userllm_llm_responder_questions_parked", of: responders.1)
                await askers.0.close()
                await askers.1.close()
                var table = BenchmarkTable(
                    benchmark: "waiting",
                    settings: [
                        "log": try reader.value(of: StreamStage.logKey).rawValue, "waiters": "\(waiters)",
                        "questions": "\(count)", "rounds": "\(rounds)",
                    ]
                )
                table.rows = medians.enumerated().map { index, median in
                    .init(
                        "fresh question, p50, round \(index + 1)",
                        median.with,
                        "ms",
                        against: ("without", median.without)
                    )
                }
                let ratio = median(medians.map { $0.with / $0.without })
                table.rows += [
                    .init("with : without, median of the rounds", ratio, ""),
                    .init("records appended to questions by waiting", Double(appended), ""),
                    .init("questions that wait at the end", parked, ""),
                ]
                try table.show(reader)
            }
        }
    }

    private static func start(_ stage: StreamStage) async throws -> StreamStage.RunningService {
        try await stage.start("llm-responder", ["--bundle", stage.bundle])
    }

    /// How many records `questions` ever had.
    private static func ends(_ stage: StreamStage) async throws -> Int64 {
        var sum: Int64 = 0
        for partition in 0..<(try await stage.log.partitionCount(of: Topic.questions.rawValue) ?? 0) {
            sum += try await stage.log.watermarks(of: TopicPartition(Topic.questions.rawValue, partition)).high
        }
        return sum
    }

    /// Asks questions, one after the other.
    private struct Asker {
        private let log: any MessageLog
        private let answers: any Subscription

        init(_ stage: StreamStage) async throws {
            log = stage.log
            answers = try await log.subscribe(
                SubscriptionOptions(
                    topics: [Topic.answers.rawValue],
                    membership: .tail(since: .seconds(1)),
                    linger: .zero,
                    memberName: "asker"
                )
            )
        }

        /// Milliseconds from a question's appending to its answer.
        func ask() async throws -> Double {
            let id = UUID().uuidString
            let time = try await seconds {
                try await log.append([try record(id, user: "fresh", minimumEventCount: 0)])
                while let event = try await answers.next() {
                    guard case .batch(let batch) = event else { continue }
                    let found = try batch.records.compactMap(\.value)
                        .contains { try Answer(decoding: $0, contentType: nil).questionID == QuestionID(id) }
                    if found { return }
                }
                throw VerificationError("the answers ended")
            }
            return time * 1_000
        }

        /// Asks questions that wait.
        func wait(_ count: Int) async throws {
            try await log.append(
                (0..<count).map { try record("w\($0)", user: "waiter-\($0)", minimumEventCount: 1_000_000) }
            )
        }

        private func record(_ id: String, user: String, minimumEventCount: UInt64) throws -> OutgoingRecord {
            let now = WallClock.milliseconds
            let question = Question(
                id: QuestionID(id),
                user: UserID(user),
                text: "What is the user's favourite genre?",
                form: .category,
                minimumEventCount: minimumEventCount,
                askedAt: now,
                deadline: now + 86_400_000
            )
            return OutgoingRecord(
                topic: Topic.questions.rawValue,
                key: Array(user.utf8),
                value: try question.encoded()
            )
        }

        func close() async { await answers.close() }
    }
}
