import Foundation
import Bytes
import Messages
import Testing

@testable import Datasets

/// Numbers that may be times in more than one way.
@Suite struct TimeReaderTests {
    /// 2026-11-30 00:00:00 UTC.
    private static let now: Int64 = 1_795_996_800

    private func read(_ text: String, _ unit: TimeReader.Unit = .seconds, now: Int64 = now) throws -> Int64 {
        var reader = TimeReader(unit, now: now)
        let bytes = Array(text.utf8)
        return try reader.milliseconds(bytes, 0..<bytes.count)
    }

    /// As seconds they lie in 2033 and 2034, where no event is from.
    @Test(arguments: [
        "2026013112", "1990010100", "2024022923", "2026113000", "2027112923", "2026013112.0", "2019100112",
    ])
    func aDateWithItsHourIsRefused(text: String) {
        let error = #expect(throws: DatasetError.self) { try read(text) }
        #expect(error?.value == text && error?.reason.contains("is a date with its hour") == true)
        #expect(error?.reason.contains("or that time in milliseconds") == true)
        var reader = TimeReader(.milliseconds, now: Self.now)
        #expect(reader.milliseconds(Int64(text.prefix(10)) ?? 0) == nil)
    }

    @Test func theWayOutIsThatDateWithMarks() throws {
        let error = #expect(throws: DatasetError.self) { try read("2026013112") }
        #expect(
            error?.reason == "is a date with its hour, or a time in seconds in 2034, which no event is from; write the "
                + "date as 2026-01-31 12:00:00, or that time in milliseconds"
        )
        #expect(try read("2026-01-31 12:00:00") == 1_769_860_800_000)
        #expect(try read("2026013112000") == 2_026_013_112_000)
    }

    /// What is no date, or one of the future, and all of the years that are not ahead, are seconds.
    @Test(arguments: [
        "2026133112", "2026023012", "2025022900", "2026013124", "1989123123", "2028010100", "1000000000", "1795996800",
        "1827000000", "1827619200", "2100000000", "9999999999",
    ])
    func anythingElseIsSeconds(text: String) throws {
        #expect(try read(text) == (try #require(Int64(text))) * 1_000)
    }

    /// Once those years have come they are seconds.
    @Test func whatIsNotAheadIsSeconds() throws {
        #expect(try read("2026013112", now: 2_000_000_000) == 2_026_013_112_000)
        #expect(throws: DatasetError.self) { try read("2026013112", now: 1_990_000_000) }
    }

    /// pandas writes nanoseconds, since 2001 in 19 digits.
    @Test(arguments: [
        ("1767225600000000000", 1_767_225_600_000 as Int64), ("978307200000000000", 978_307_200_000),
        ("1767225600123456789", 1_767_225_600_123), ("9223372036854775807", 9_223_372_036_854),
        ("1767225600000000000.0", 1_767_225_600_000),
    ])
    func nanosecondsAreRead(text: String, time: Int64) throws {
        #expect(try read(text) == time)
        var reader = TimeReader(.seconds, now: Self.now)
        let bytes = Array(text.utf8)
        _ = try reader.milliseconds(bytes, 0..<bytes.count)
        #expect(reader.counts[.timesInNanoseconds] == 1)
    }

    @Test(arguments: ["9223372036854775808", "9999999999999999999", "17672256000000000000", "-1767225600000000000"])
    func whatIsNoNumberOfNanosecondsIsRefused(text: String) {
        #expect(throws: DatasetError.self) { try read(text) }
    }

    // MARK: - In files

    /// The line, the column and the value are named, whatever the form; what prepares and what sends refuse alike.
    @Test(arguments: [
        ("t.csv", "user,item,timestamp\nu,a,1569888002\n", "u,b,2019100112\n", "timestamp"),
        ("t.inter", "user_id:token\titem_id:token\ttime:float\nu\ta\t1569888002\n", "u\tb\t2019100112.0\n", "time"),
        (
            "r.json", #"{"reviewerID":"u","asin":"a","overall":5,"unixReviewTime":1569888002}"# + "\n\n",
            #"{"reviewerID":"u","asin":"b","overall":5,"unixReviewTime":2019100112}"# + "\n", "unixReviewTime"
        ),
        (
            "e.ndjson", #"{"user":"u","item":"a","time":1569888002}"# + "\n\n",
            #"{"user":"u","item":"b","time":2019100112}"# + "\n", "time"
        ),
        (
            "e.ndjson", #"{"user":"u","item":"a","time":1569888002}"# + "\n\n",
            #"{"user":"u","item":"b","ts":2019100112.0}"# + "\n", "ts"
        ),
    ])
    func theLineIsNamed(name: String, head: String, line: String, field: String) throws {
        let folder = try TemporaryFolder()
        try folder.write("catalogue.json", #"{"items":[{"id":"a"},{"id":"b"}]}"#)
        try folder.write(name, head + line)
        let source = try DatasetFolder(path: "\(folder.path)/\(name)")
        var reader = try source.events()
        #expect(try reader.next()?.time == 1_569_888_002_000)
        let error = try #require(throws: DatasetError.self) { try reader.next() as Event? }
        #expect(error.line == 3 && error.field == field && error.value?.hasPrefix("2019100112") == true)
        #expect(error.reason.contains("write the date as 2019-10-01 12:00:00"))
        #expect(throws: error) { try source.prepared() }
        let data = try source.prepared(PreparationOptions(skipsBadLines: true))
        #expect(data.eventCount == 1 && data.skippedLines == 1)
    }

    @Test func aTableOfPandasIsRead() throws {
        let folder = try TemporaryFolder()
        try folder.write("t.csv", "user,item,timestamp\nu,a,1767225600000000000\nu,b,1767225601000000000\n")
        let data = try DatasetFolder(path: folder.path).prepared()
        #expect((0..<2).map { data.entry(user: 0, $0).time } == [1_767_225_600_000, 1_767_225_601_000])
        #expect(data.origin.counts[.timesInNanoseconds] == 2)
    }
}
