import ServiceRuntime
import MessageLogs
import Synchronization
import Testing
import UserTimelines

@testable import EncoderWorker

@Suite struct RerouteNoticeTests {
    private final class Lines: LogHandler {
        private let entries = Mutex<[LogEntry]>([])
        var all: [LogEntry] { entries.withLock { $0 } }
        func log(_ entry: LogEntry) { entries.withLock { $0.append(entry) } }
    }

    private func reroutes(_ count: Int, _ reason: TimelineUpdate.Reroute.Reason) -> [TimelineUpdate.Reroute] {
        (0..<count).map { _ in
            TimelineUpdate.Reroute(record: OutgoingRecord(topic: "user-events", key: [1], value: [2]), reason: reason)
        }
    }

    @Test func itIsSaidOnceAMinuteWithAllThatCameSince() {
        let lines = Lines()
        let notice = RerouteNotice(Logger(label: "test", handler: lines))
        let start = ContinuousClock.now
        notice.add([], now: start)
        #expect(lines.all.isEmpty)
        notice.add(reroutes(2, .partition), now: start)
        for second in 1..<60 { notice.add(reroutes(1, .keyless), now: start + .seconds(second)) }
        #expect(lines.all.count == 1)
        #expect(lines.all[0].metadata["records.partition"] == "2" && lines.all[0].metadata["records.keyless"] == nil)
        #expect(lines.all[0].message.contains("partitioner=murmur2_random"))
        notice.add(reroutes(1, .partition), now: start + .seconds(60))
        #expect(lines.all.count == 2)
        #expect(lines.all[1].metadata["records.partition"] == "1" && lines.all[1].metadata["records.keyless"] == "59")
    }
}
