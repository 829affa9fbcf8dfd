import Datasets
import Foundation
import Bytes
import LanguageEngine
import Messages
import PostgresClient
import PostgresLogs
import EmbeddingStore
import ServiceRuntime
import Flows
import MessageLogs
import Synchronization
import TestSupport
import UserModels
import Verification

@testable import LLMResponder

/// A real log, rows in a real database, and responders on them.
struct RespondingFixture: Sendable {
    private struct Silent: LogHandler {
        func log(_ entry: LogEntry) {}
    }

    let log: any MessageLog
    let table: EmbeddingTable
    let database: String
    let bundle: ModelBundle
    let folder: String
    private let broker: PrivateKafka?

    /// Makes a log with its topics.
    ///
    /// - Parameters:
    ///   - kafka: whether the log is a broker of its own.
    ///   - cluster: where the rows are, and without Kafka the log is in the shared one.
    ///   - partitions: of `questions`.
    ///   - answerPartitions: of `answers`, if not as many.
    ///   - fusion: how much language model and encoder count in answers; nil is the language model alone.
    /// - Throws: what the log or the database throws.
    init(
        kafka: Bool = false,
        cluster: PrivatePostgres? = nil,
        partitions: Int32 = 2,
        answerPartitions: Int32? = nil,
        fusion: FusionWeights? = nil
    ) async throws {
        folder = try LocalSystem.makeFolder()
        try SmallBundle.write(to: "\(folder)/bundle", catalogue: SyntheticWorld().catalogue)
        if let fusion { try ModelBundle.write(fusion: fusion, toBundle: "\(folder)/bundle") }
        bundle = try ModelBundle.load("\(folder)/bundle")
        let address = try PrivatePostgres.shared().makeDatabase()
        database = try cluster?.makeDatabase() ?? address
        broker = kafka ? try await PrivateKafka.separate() : nil
        if let broker { log = try await broker.openLog() } else { log = try await PostgresLog(address: address) }
        try await log.createTopics(
            TopicSpecification.system(partitionCount: partitions).map { topic in
                var topic = topic
                if topic.name == Topic.answers.rawValue { topic.partitionCount = answerPartitions ?? partitions }
                return topic
            }
        )
        table = try await EmbeddingTable(database: database)
        try await table.migrate()
    }

    /// What the encoder makes of every user's events.
    func encoded() throws -> EncodedUser {
        let timeline = (0..<5).map { TimelineEvent(item: "f\($0 + 1)", rating: 4, time: Int64($0) * 60_000) }
        return try bundle.makeEncodingEngine(threads: 1).encode([timeline])[0]
    }

    /// Writes a user's row; without a version, the bundle's, and without a pooled vector, the encoder's.
    func write(
        _ user: String,
        count: UInt64,
        version: String? = nil,
        pooled: [Float]? = nil,
        seenItems: SeenItems = SeenItems()
    ) async throws {
        let encoded = try encoded()
        let row = UserEmbedding(
            user: UserID(user),
            modelVersion: version ?? bundle.version,
            generation: 0,
            eventCount: count,
            sourcePartition: 0,
            sourceOffset: 0,
            appendedAt: 0,
            rows: bundle.contextRows,
            columns: bundle.contextColumns,
            context: encoded.context,
            pooled: pooled ?? encoded.pooled,
            seenItems: seenItems
        )
        try await table.upsert([row], deletions: [], offsets: [:], group: "test", owner: "test")
    }

    /// Asks for a title, or for a text of so many tokens, in the partition of the user or in another.
    func ask(
        _ id: String,
        _ user: String,
        knowing count: UInt64 = 0,
        milliseconds: Int64 = 600_000,
        writing tokenCount: Int? = nil,
        includingSeen: Bool = false,
        in partition: Int32? = nil
    ) async throws {
        let now = WallClock.milliseconds
        let question = Question(
            id: QuestionID(id),
            user: UserID(user),
            text: "What will the user watch next?",
            form: tokenCount == nil ? .title : .text,
            itemCount: tokenCount == nil ? 3 : 0,
            maximumTokens: tokenCount ?? 32,
            includesSeen: includingSeen,
            minimumEventCount: count,
            askedAt: now,
            deadline: now + milliseconds
        )
        try await log.append([
            OutgoingRecord(
                topic: Topic.questions.rawValue,
                partition: partition,
                key: Array(user.utf8),
                value: try question.encoded()
            )
        ])
    }

    func answers() async throws -> [Answer] {
        try await records(of: Topic.answers.rawValue).compactMap(\.value)
            .map { try Answer(decoding: $0, contentType: nil) }
    }

    func answer(_ id: String) async throws -> Answer? { try await answers().first { $0.questionID.text == id } }

    /// Waits for answers to some questions.
    func answered(_ ids: String...) async throws {
        for id in ids {
            try await poll("\(id) is answered") { try await answer(id) != nil }
        }
    }

    /// The ids of all answers, sorted: one that has two is there twice.
    func answeredIDs() async throws -> [String] { try await answers().map(\.questionID.text).sorted() }

    func records(of topic: String) async throws -> [Record] {
        let records = Mutex<[Record]>([])
        for partition in 0..<(try await log.partitionCount(of: topic) ?? 0) {
            try await log.replay(TopicPartition(topic, partition)) { more in records.withLock { $0 += more } }
        }
        return records.withLock { $0 }
    }

    /// The group's offset of a partition of questions.
    func committed(_ partition: Int32) async throws -> Int64? {
        let offsets = try await log.committedOffsets(
            group: ConsumerGroup.llmResponder,
            topic: Topic.questions.rawValue
        )
        return offsets[TopicPartition(Topic.questions.rawValue, partition)]
    }

    /// Sets the group's offsets back to behind the first question of each partition.
    func rewindQuestions() async throws {
        var first: [TopicPartition: Record] = [:]
        for record in try await records(of: Topic.questions.rawValue) where first[record.source] == nil {
            first[record.source] = record
        }
        let subscription = try await log.subscribe(
            SubscriptionOptions(
                topics: [Topic.questions.rawValue],
                membership: .group(ConsumerGroup.llmResponder),
                memberName: "operator"
            )
        )
        while let event = try await subscription.next() {
            guard case .assigned(let partitions) = event else { continue }
            try await subscription.commit(Batch(records: partitions.compactMap { first[$0] }), producing: [])
            break
        }
        await subscription.close()
    }

    /// What a responder that runs shows.
    struct Running: Sendable {
        let metrics: MetricsRegistry
        let health: Health
        /// Stops it, which the end of the body does in any case.
        let shutdown: Shutdown

        /// A number of its page of metrics; 0 when it is not there.
        func metric(_ name: String) -> Double {
            metrics.text.split(separator: "\n").first { $0.hasPrefix("\(name) ") }
                .flatMap { $0.split(separator: " ").last }.flatMap { Double($0) } ?? 0
        }

        /// Waits until so many questions wait in it.
        func parks(_ count: Int) async throws {
            try await poll("\(count) questions are parked") {
                metric("userllm_llm_responder_questions_parked") == Double(count)
            }
        }
    }

    /// Runs a responder while `body` runs.
    ///
    /// - Parameters:
    ///   - member: its name in the group.
    ///   - parking: how many questions may wait.
    ///   - window: how far an offset may stay behind.
    ///   - runningLimit: how many answers may be in progress; 0 is as if others took all room.
    ///   - pollInterval: how long the group may hear nothing.
    ///   - answerLimits: what one answer may take.
    ///   - wrap: puts something around the subscription.
    ///   - body: what is done meanwhile.
    /// - Throws: what the responder or `body` throws.
    func whileRunning(
        member: String = "llm-responder-test",
        parking: ParkingLimit = ParkingLimit(count: 1_000, byteCount: 1 << 20),
        window: Int64 = RespondingFlow.window,
        runningLimit: Int = 8,
        pollInterval: Duration = RespondingFlow.pollInterval,
        answerLimits: AnswerLimits = .none,
        through wrap: (any Subscription) -> any Subscription = { $0 },
        _ body: (Running) async throws -> Void
    ) async throws {
        let subscription = try await log.subscribe(
            SubscriptionOptions(
                topics: [Topic.questions.rawValue],
                membership: .group(ConsumerGroup.llmResponder),
                maximumBatchCount: 4,
                linger: .zero,
                memberName: member,
                holdsNewPartitions: true,
                outputTopics: [Topic.answers.rawValue, Topic.questions.rejected]
            )
        )
        let shutdown = Shutdown()
        let running = Running(metrics: MetricsRegistry(), health: Health(), shutdown: shutdown)
        let logger = Logger(label: "test", handler: Silent())
        let metrics = LLMResponderMetrics(running.metrics)
        let tokens = TokenPublisher(log: log, metrics: metrics.stream, logger: logger)
        let answering = Answering(
            table: table,
            responder: try Responder(
                bundle: bundle,
                settings: ModelSettings(
                    runningCount: max(1, runningLimit),
                    cacheByteCount: 64 << 20,
                    cacheFormat: .bfloat16,
                    weightFormat: .stored,
                    tokensPerStep: 256,
                    threads: 1
                ),
                limits: answerLimits
            ),
            tokens: tokens,
            modelVersion: bundle.version,
            otherVersions: try await table.modelVersions().map(\.version).filter { $0 != bundle.version },
            health: running.health.condition("database", waitingFor: "start")
        )
        let embeddings = try EmbeddingWatch(database: database)
        let flow = RespondingFlow(
            log,
            wrap(subscription),
            answering,
            watch: {
                RowWatch(
                    embeddings,
                    modelVersion: bundle.version,
                    metrics: metrics.stream,
                    health: answering.health,
                    signal: $0
                )
            },
            parking: parking,
            window: window,
            runningLimit: runningLimit,
            pollInterval: pollInterval,
            metrics: metrics,
            health: running.health.condition("partitions", waitingFor: "start"),
            logger: logger
        )
        async let responding: Void = flow.run(until: shutdown)
        async let publishing: Void = tokens.run(until: shutdown)
        do {
            try await body(running)
        } catch {
            shutdown.request()
            try await responding
            try await publishing
            throw error
        }
        shutdown.request()
        try await responding
        try await publishing
    }

    func close() async {
        await table.close()
        await log.close()
        await broker?.stop()
        try? FileManager.default.removeItem(atPath: folder)
    }
}
