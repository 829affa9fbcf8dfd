import Bytes
import Messages
import ServiceRuntime
import Flows
import MessageLogs
import Synchronization
import TestSupport
import Testing

@Suite struct CleanupCheckTests {
    private final class Recorder: LogHandler {
        private let state = Mutex<[LogEntry]>([])
        var entries: [LogEntry] { state.withLock { $0 } }
        func log(_ entry: LogEntry) { state.withLock { $0.append(entry) } }
    }

    /// A log that notes which topics it is asked about, and does not show the settings of some.
    private final class HidingLog: ForwardingLog {
        let log: any MessageLog
        private let hidden: Set<String>
        private let state = Mutex<[String]>([])
        var asked: [String] { state.withLock { $0 } }

        init(_ log: any MessageLog, hiding hidden: Set<String>) {
            self.log = log
            self.hidden = hidden
        }

        func checkCleanup(of topics: [String: TopicSpecification.Cleanup]) async throws(StreamError) -> [String] {
            state.withLock { $0 = topics.keys.sorted() }
            _ = try await log.checkCleanup(of: topics.filter { !hidden.contains($0.key) })
            return topics.keys.filter { hidden.contains($0) }.sorted()
        }
    }

    @Test func hiddenSettingsAreTrustedWithOneWarningAndSeenOnesAreNot() async throws {
        let recorder = Recorder()
        let logger = Logger(label: "test", handler: recorder)
        let database = try await TestedLog.postgres.open()
        var topics = TopicSpecification.system(partitionCount: 1)
        for index in topics.indices where topics[index].name == Topic.userTimelines.rawValue {
            topics[index].cleanup = .delete(after: .seconds(60))
        }
        try await database.createTopics(topics)
        let log = HidingLog(database, hiding: ["user-timelines", "user-events"])
        try await log.checkCleanup(of: [.userEvents, .userTimelines], rejecting: .userEvents, logger: logger)
        #expect(log.asked == ["user-events", "user-events-rejected", "user-timelines"])
        try #require(recorder.entries.count == 1)
        #expect(recorder.entries[0].level == .warning)
        #expect(recorder.entries[0].metadata["log.topics"] == "user-events user-timelines")

        let open = HidingLog(database, hiding: [])
        try await open.checkCleanup(of: [.userEvents, .userEmbeddings], rejecting: .userEmbeddings, logger: logger)
        #expect(recorder.entries.count == 1)
        await #expect(throws: StreamError.self) {
            try await open.checkCleanup(of: [.userEvents, .userTimelines], logger: logger)
        }
        await database.close()
    }
}
