public import Datasets
import Foundation
import Bytes
import LogAddresses
import Messages
import ServiceRuntime
import Flows
import MessageLogs
import Synchronization
import SystemClient

/// Asks many questions while events flow, and counts the answers in their topic.
public struct QuestionsVerification: Sendable {
    /// What came of it.
    public struct Result: Codable, Sendable {
        /// How many questions were asked.
        public var questions: Int
        /// How many have exactly one answer in the topic.
        public var answeredOnce: Int
        /// Questions with no answer or several, and answers that nobody asked for.
        public var mismatches: [String]
        /// How the questions ended.
        public var statuses: [String: Int]
        /// From asking to the answer at the asker, in milliseconds.
        public var latency: Latencies
        /// From asking until the answer was computed, by the answer's own times: the rest is commit and way back.
        public var computed: Latencies
        /// Events that were taken meanwhile.
        public var events: Int
        /// Processes that were ended with `kill -9` on the way.
        public var killed: [String]
        /// Whether each question has exactly one answer.
        public var isRight: Bool { mismatches.isEmpty && answeredOnce == questions }
    }

    private let system: LocalSystem
    private let world: SyntheticWorld
    private let count: Int
    private let users: Int
    private let concurrency: Int
    private let kills: [String]
    private let textTokens: Int
    private let say: @Sendable (String) -> Void

    /// Prepares it.
    ///
    /// - Parameters:
    ///   - system: a system.
    ///   - world: whose viewers the events and questions are about.
    ///   - count: how many questions.
    ///   - users: how many users they are about.
    ///   - concurrency: how many questions are open at a time.
    ///   - kills: services to end with `kill -9`, evenly over the questions.
    ///   - textTokens: the most tokens of a text; 0 asks for titles and categories in turn.
    ///   - say: is told what happens.
    public init(
        _ system: LocalSystem,
        world: SyntheticWorld,
        count: Int = 1_000,
        users: Int = 100,
        concurrency: Int = 8,
        kills: [String] = [],
        textTokens: Int = 0,
        say: @escaping @Sendable (String) -> Void = { _ in }
    ) {
        self.system = system
        self.world = world
        self.count = count
        self.users = users
        self.concurrency = concurrency
        self.kills = kills
        self.textTokens = textTokens
        self.say = say
    }

    private struct Asked: Sendable {
        let id: QuestionID
        let status: Answer.Status
        let latency: Duration
        let computed: Duration
    }

    /// Runs it.
    public func run() async throws -> Result {
        let histories = (0..<users).map { world.viewer($0).events }
        try await system.client().send(histories.flatMap { $0.prefix($0.count / 2) })
        let stop = Shutdown()
        let done = AnsweredCount()
        async let flowing = flow(histories, until: stop)
        async let asking = askAll(done)
        let killed = try await killAlong(done)
        let asked = try await asking
        stop.request()
        return try await result(asked, killed: killed, events: try await flowing)
    }

    /// Sends the second half of each history, an event of each user in turn, until the questions are through.
    private func flow(_ histories: [[Event]], until stop: Shutdown) async throws -> Int {
        let client = try system.client()
        var sent = 0
        var round = 0
        while !stop.isRequested {
            for history in histories where !stop.isRequested {
                let rest = history.dropFirst(history.count / 2)
                guard !rest.isEmpty else { continue }
                var event = rest[rest.startIndex + round % rest.count]
                // Past the end the same films come again, later.
                event.id = nil
                event.time += Int64(round / rest.count) * 86_400_000
                try await client.send([event])
                sent += 1
            }
            round += 1
        }
        return sent
    }

    private func askAll(_ done: AnsweredCount) async throws -> [Asked] {
        try await withThrowingTaskGroup(of: Asked.self) { group in
            var asked: [Asked] = []
            for index in 0..<count {
                if index >= concurrency, let one = try await group.next() {
                    asked.append(one)
                    done.increment()
                }
                group.addTask { try await ask(index) }
            }
            for try await one in group {
                asked.append(one)
                done.increment()
            }
            return asked
        }
    }

    private func ask(_ index: Int) async throws -> Asked {
        let now = WallClock.milliseconds
        let form: Question.AnswerForm = textTokens > 0 ? .text : index.isMultiple(of: 2) ? .title : .category
        let text =
            switch form {
            case .title: "What will the user watch next?"
            case .category: "What is the user's favourite genre?"
            case .text, .textWithTitles, .known: "Question \(index): what makes a film worth watching a second time?"
            }
        let question = Question(
            id: QuestionID(UUID().uuidString.lowercased()),
            user: world.viewer(index % users).id,
            text: text,
            form: form,
            itemCount: 5,
            maximumTokens: max(1, textTokens),
            askedAt: now,
            deadline: now + 600_000
        )
        let start = ContinuousClock.now
        let answer = try await system.client().ask(question)
        return Asked(
            id: question.id,
            status: answer.status,
            latency: ContinuousClock.now - start,
            computed: .milliseconds(answer.answeredAt - answer.askedAt)
        )
    }

    private func killAlong(_ done: AnsweredCount) async throws -> [String] {
        for (index, service) in kills.enumerated() {
            let threshold = count * (index + 1) / (kills.count + 1)
            try await poll("\(threshold) questions are answered", within: .seconds(1_800)) { done.count >= threshold }
            try await system.kill(service)
            say("killed \(service) after \(threshold) questions")
        }
        return kills
    }

    // MARK: - Counting

    private func result(_ asked: [Asked], killed: [String], events: Int) async throws -> Result {
        let answers = try await answersInTopic()
        var mismatches: [String] = []
        var once = 0
        for one in asked {
            let found = answers[one.id, default: 0]
            if found == 1 { once += 1 } else { mismatches.append("question \(one.id) has \(found) answers") }
        }
        let ids = Set(asked.map(\.id))
        for id in answers.keys where !ids.contains(id) { mismatches.append("nobody asked question \(id)") }
        return Result(
            questions: count,
            answeredOnce: once,
            mismatches: mismatches,
            statuses: Dictionary(grouping: asked) { $0.status.rawValue }.mapValues(\.count),
            latency: Latencies(asked.map(\.latency)),
            computed: Latencies(asked.map(\.computed)),
            events: events,
            killed: killed
        )
    }

    /// How many answers to each question the topic holds.
    private func answersInTopic() async throws -> [QuestionID: Int] {
        let log = try await openLog(try system.state().log)
        let counter = AnswerCounter()
        do {
            let partitions = try await log.partitionCount(of: Topic.answers.rawValue) ?? 0
            for partition in 0..<partitions {
                try await log.replay(TopicPartition(Topic.answers.rawValue, partition)) { records in
                    try await counter.take(records)
                }
            }
        } catch {
            await log.close()
            throw error
        }
        await log.close()
        return await counter.counts
    }
}

/// How many questions are through.
private final class AnsweredCount: Sendable {
    private let value = Atomic<Int>(0)

    var count: Int { value.load(ordering: .relaxed) }

    func increment() { value.add(1, ordering: .relaxed) }
}

private actor AnswerCounter {
    private(set) var counts: [QuestionID: Int] = [:]

    func take(_ records: [Record]) throws {
        for record in records {
            guard let value = record.value else { continue }
            let answer = try Answer(decoding: value, contentType: record.header(ContentType.header))
            counts[answer.questionID, default: 0] += 1
        }
    }
}
