import Messages
import MessageLogs
import Testing

@Suite struct RejectionTests {
    let record = Record(
        source: TopicPartition("user-events", 3),
        offset: 88,
        timestamp: 5,
        key: [1, 0, 2],
        value: [0xFF],
        headers: [Header("content-type", "application/json"), Header("rejected-reason", "of an earlier time")]
    )

    @Test func keepsTheBytesAndSaysWhy() throws {
        let rejection = Rejection(
            of: record,
            reason: "user: is empty",
            service: "encoder-worker",
            time: 77,
            attempts: 2
        )
        let outgoing = rejection.outgoing(record)
        #expect(outgoing.topic == "user-events-rejected")
        #expect(outgoing.key == record.key)
        #expect(outgoing.value == record.value)

        let stored = Record(
            source: TopicPartition(outgoing.topic, 0),
            offset: 0,
            timestamp: 0,
            key: outgoing.key,
            value: outgoing.value,
            headers: outgoing.headers
        )
        #expect(stored.header("content-type") == "application/json")
        #expect(stored.header("rejected-reason") == "user: is empty")
        #expect(Rejection(headersOf: stored) == rejection)

        let replayed = rejection.replayed(stored)
        #expect(replayed.topic == "user-events")
        #expect(replayed.headers == [Header("content-type", "application/json"), Header("replays", "2")])
        let again = Record(
            source: TopicPartition("user-events", 3),
            offset: 99,
            timestamp: 0,
            key: replayed.key,
            value: replayed.value,
            headers: replayed.headers
        )
        #expect(Rejection(of: again, reason: "still", service: "s", time: 0).attempts == 3)
        #expect(replayed.value == record.value)
    }

    /// Headers are text that anybody may have written.
    @Test(arguments: [
        ("9223372036854775807", 1_000_000), ("9223372036854775806", 1_000_000), ("-9223372036854775808", 2),
        ("9223372036854775808", 1), ("0", 2), ("-1", 2), ("seven", 1), ("", 1), ("41", 42),
    ])
    func countsOfTriesStayWithinTheirRange(header: String, expected: Int) {
        var hostile = record
        hostile.headers = [Header("replays", header)]
        let rejection = Rejection(of: hostile, reason: "no", service: "s", time: 0)
        #expect(rejection.attempts == expected)
        #expect(Rejection(of: hostile, reason: "no", service: "s", time: 0, attempts: .max).attempts == 1_000_000)
        let outgoing = rejection.outgoing(hostile)
        #expect(outgoing.headers.contains(Header("rejected-attempts", String(expected))))
    }

    @Test(arguments: [
        ("-1", "5", "1"), ("0", "-9223372036854775808", "1"), ("2147483648", "0", "1"),
        ("0", "9223372036854775808", "1"),
    ])
    func placesThatCannotBeAreNoRejection(partition: String, offset: String, attempts: String) {
        var hostile = record
        hostile.headers = [
            Header("rejected-topic", "user-events"), Header("rejected-partition", partition),
            Header("rejected-offset", offset), Header("rejected-attempts", attempts),
        ]
        #expect(Rejection(headersOf: hostile) == nil)
    }

    @Test func aStoredCountOfTriesIsHostileToo() throws {
        var hostile = record
        hostile.headers = [
            Header("rejected-topic", "user-events"), Header("rejected-partition", "0"), Header("rejected-offset", "0"),
            Header("rejected-attempts", "9223372036854775807"),
        ]
        let rejection = try #require(Rejection(headersOf: hostile))
        #expect(rejection.attempts == 1_000_000)
        #expect(rejection.replayed(hostile).headers == [Header("replays", "1000000")])
    }

    /// Kafka keeps the time that a producer says.
    @Test(arguments: [
        (Int64.min, Int64(0)), (-1, 0), (.max, 253_402_300_799_999), (1_700_000_000_000, 1_700_000_000_000),
    ])
    func timesOfRecordsAreTimes(timestamp: Int64, expected: Int64) {
        let source = TopicPartition("user-events", 0)
        let record = Record(source: source, offset: 0, timestamp: timestamp, key: nil, value: nil)
        #expect(record.timestamp == expected)
    }

    @Test func aReplayedRecordHasNoPlaceThatItWasSentOnFrom() throws {
        var sentOn = record
        sentOn.headers = [
            Header("userllm-rerouted", "0 5 7 1"), Header("UserLLM-Rerouted", "0 5 7 1"), Header("h", "1"),
        ]
        let rejection = Rejection(of: sentOn, reason: "no", service: "s", time: 0)
        #expect(rejection.replayed(sentOn).headers == [Header("h", "1"), Header("replays", "1")])
    }

    @Test func longReasonsAreShortened() {
        let reason = String(repeating: "ü", count: 2_000)
        let rejection = Rejection(of: record, reason: reason, service: "s", time: 0)
        #expect(rejection.reason.utf8.count <= 1_024)
        #expect(rejection.reason.hasPrefix("üüü"))
        #expect(rejection.reason.hasSuffix("ü…"))
    }

    @Test(arguments: [
        (10, 2_000_000, 10), (10, 999_990, 10), (1_500_000, 5, 10), (600_000, 600_000, 10), (10, 5, 1_200_000),
    ])
    func whatIsTooLargeForALogIsCut(key: Int, value: Int, header: Int) {
        var large = record
        large.key = [UInt8](repeating: 1, count: key)
        large.value = [UInt8](repeating: 2, count: value)
        large.headers = [Header("h", bytes: [UInt8](repeating: 3, count: header))]
        let reason = String(repeating: "r", count: 3_000)
        let outgoing = Rejection(of: large, reason: reason, service: "s", time: 0).outgoing(large)
        let headers = outgoing.headers.reduce(0) { $0 + $1.name.utf8.count + $1.value.count + 8 }
        #expect(headers + (outgoing.key?.count ?? 0) + (outgoing.value?.count ?? 0) <= 1_000_000)
        let isCut = outgoing.headers.contains { $0 == Header("rejected-value-bytes", String(value)) }
        #expect(isCut == ((outgoing.value?.count ?? 0) < value))
        #expect(outgoing.headers.contains { $0.name == "rejected-offset" })
    }

    @Test func otherRecordsHaveNoRejection() {
        #expect(Rejection(headersOf: record) == nil)
    }

    @Test func systemTopicsAgree() {
        let topics = TopicSpecification.system(partitionCount: 12)
        let counts = Dictionary(uniqueKeysWithValues: topics.map { ($0.name, $0.partitionCount) })
        #expect(counts["user-events"] == 12)
        #expect(counts["user-timelines"] == 12)
        #expect(counts["user-events-rejected"] == 1)
        #expect(topics.count == 2 * Topic.allCases.count)
        #expect(topics.first { $0.name == "user-timelines" }?.cleanup == .compact)
    }
}
