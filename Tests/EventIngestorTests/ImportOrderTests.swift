import Datasets
import Foundation
import Bytes
import Messages
import RandomNumbers
import ServiceRuntime
import MessageLogs
import TestSupport
import Testing

@testable import EventIngestor

/// The order in which events are sent, and that memory does not matter for it.
@Suite(.timeLimit(.minutes(15)))
struct ImportOrderTests {
    private let stage: ImportStage

    init() throws { stage = try ImportStage() }

    /// Ratings of some users, out of order as MovieLens has them since 2015: by film, and many at one time.
    private func writeRatings(_ count: Int) throws -> String {
        var random = SeededRandom(seed: 3)
        var lines = ["userId,movieId,rating,timestamp"]
        for number in 0..<count {
            lines.append("\(stage.user)\(random.below(12)),\(number),4.0,\(1_700_000_000 + random.below(40))")
        }
        try stage.write(lines.joined(separator: "\n") + "\n", to: "ratings.csv")
        let films = (0..<count).map { "\($0),Film \($0),Drama" }
        try stage.write((["movieId,title,genres"] + films).joined(separator: "\n") + "\n", to: "movies.csv")
        return stage.folder
    }

    /// What `trainer prepare` makes of the same data, as `ImportStage.items` shows it.
    private func prepared() throws -> [String] {
        let dataset = try DatasetFolder(path: stage.folder).prepared()
        let items = dataset.users.indices.map { user in
            let index = Int(dataset.users[user].text.dropFirst(stage.user.count)) ?? -1
            let events = dataset.timeline(user: user, 0..<dataset.eventCount(ofUser: user))
            return (index, events.map { "\(index):\($0.item)" })
        }
        return items.sorted { $0.0 < $1.0 }.flatMap(\.1)
    }

    /// With the defaults every user's events are in the order that models are trained with; in memory, with dozens of runs
    /// merged in several rounds, and when the process dies in between.
    @Test(arguments: [nil, 4_096], ["time", "interleaved"])
    func eachUsersEventsAreInTheOrderThatPrepareHas(sortMemory: Int?, order: String) async throws {
        let log = try await TestLog.open()
        let folder = try writeRatings(3_000)
        let expected = try prepared()
        #expect(expected.count == 3_000)
        let flags = ["batch-events": "700"].merging(order == "time" ? [:] : ["order": order]) { $1 }
        await #expect(throws: StreamError.self) {
            let dying = stage.dying(log, at: 3, taking: 100)
            try await stage.flow(folder, dying, flags, sortMemory: sortMemory).run(until: Shutdown())
        }
        let said = ImportStage.Said()
        let logger = Logger(label: "test", handler: said)
        try await stage.flow(folder, log, flags, sortMemory: sortMemory, logger: logger).run(until: Shutdown())
        #expect(try await stage.items(log) == expected)
        #expect(said.last("import.order") == order)
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder).filter { $0.hasPrefix(".") } == [])
        await log.close()
    }

    @Test func sortsInRunsOnTheDisk() async throws {
        let folder = try writeRatings(3_000)
        let log = try await TestLog.open()
        let flow = try stage.flow(folder, log, sortMemory: 4_096)
        let reader = ImportReader(flow.source)
        let state = ImportState(order: "time", format: "movielens")
        _ = try await reader.prove(state, path: "state")
        let begun = try #require(try await reader.begin(from: .start, state) { _ in })
        #expect(await reader.runCount > 24)
        #expect(begun.part?.isSorted == true)
        #expect(begun.part?.eventCount == 3_000)
        await log.close()
    }

    /// What is in order already is not sorted, however little memory there is; a late event far behind makes it so.
    @Test(arguments: [false, true])
    func aFileInOrderOfTimeIsSentAsItStands(isLastLate: Bool) async throws {
        let log = try await TestLog.open()
        var lines = (0..<900).map { stage.line($0 % 7, "i\($0)", 1_000 + $0 / 2) }
        if isLastLate { lines.append(stage.line(3, "late", 1_100)) }
        let path = try stage.write(lines.joined(separator: "\n"))
        let sent = ImportStage.Sent()
        let flags = ["batch-events": "250"]
        await #expect(throws: StreamError.self) {
            let dying = stage.dying(stage.recording(log, sent), at: 2)
            try await stage.flow(path, dying, flags, sortMemory: 4_096).run(until: Shutdown())
        }
        #expect(try stage.state(of: path).part?.isSorted == isLastLate)
        try await stage.flow(path, stage.recording(log, sent), flags, sortMemory: 4_096).run(until: Shutdown())
        var expected = (0..<900).map { "\($0 % 7):i\($0)" }
        if isLastLate { expected.insert("3:late", at: 202) }
        #expect(sent.all == expected)
        await log.close()
    }

    @Test func aSetWithoutTimesKeepsTheOrderOfItsFile() async throws {
        let log = try await TestLog.open()
        let path = try stage.write("\(stage.user)1 c a\n\(stage.user)0 b\n\(stage.user)1 d\n", to: "data.txt")
        let said = ImportStage.Said()
        let sent = ImportStage.Sent()
        let logger = Logger(label: "test", handler: said)
        try await stage.flow(path, stage.recording(log, sent), logger: logger).run(until: Shutdown())
        #expect(sent.all == ["1:c", "1:a", "0:b", "1:d"])
        #expect(said.last("import.order") == "file")
        #expect(said.last("import.why")?.contains("no times") == true)
        await log.close()
    }

    @Test func anOrderThatCannotBeIsRefused() async throws {
        let log = try await TestLog.open()
        let path = try stage.write("\(stage.user)1 c a\n", to: "data.txt")
        let error = #expect(throws: ProcessFailure.self) { try stage.flow(path, log, ["order": "time"]) }
        #expect(error?.exitCode == .usage)
        #expect(error?.description.contains("--order file") == true)
        await log.close()
    }

    /// Else the same events would be sent once in each order.
    @Test func anotherOrderThanBeforeIsRefused() async throws {
        let log = try await TestLog.open()
        let path = try stage.write(stage.line(0, "a", 1) + "\n")
        try await stage.flow(path, log, ["order": "file"]).run(until: Shutdown())
        let reason = await stage.refusal(path, log)
        #expect(reason.contains("--order file") && reason.contains("1 events"))
        await log.close()
    }
}
