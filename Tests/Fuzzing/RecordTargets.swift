import Messages
import MessageLogs
import UserTimelines

/// Records and headers as whoever may write to a topic sends them.
enum RecordTargets {
    static let all = [
        record("event", Examples.event), record("timeline", Examples.timeline),
        record("forgotten-marks", Examples.marks),
        record("user-embedding", Examples.embedding), record("question", Examples.question, Examples.chat),
        record("answer", Examples.answer), record("answer-token", Examples.token), headers, timelineUpdate,
    ]

    private static let contentTypes: [String?] = [nil, ContentType.jsonValue]

    /// A record in both encodings: the first byte says which.
    ///
    /// What is taken is within the limits, so it can be written, and reads the same again.
    private static func record<Value: WireRecord>(_ name: String, _ examples: Value...) -> FuzzTarget {
        FuzzTarget(
            name: "record-\(name)",
            seeds: { try examples.flatMap { [[0] + (try $0.encoded()), [1] + (try $0.encodedJSON())] } },
            words: jsonWords,
            run: { input in
                guard let first = input.first else { return }
                let type = contentTypes[Int(first & 1)]
                let value = try Value(decoding: Array(input.dropFirst()), contentType: type)
                guard let bytes = try? value.encoded() else {
                    return expect(false, "\(value) was taken, but not written")
                }
                guard let again = try? Value(decoding: bytes, contentType: nil).encoded() else {
                    return expect(false, "\(value) was written, but not read again")
                }
                expect(again == bytes, "\(value) is another when it is read again")
            }
        )
    }

    /// Headers of records that were rejected, and are sent again, and are rejected again.
    private static let headers = FuzzTarget(
        name: "headers",
        seeds: {
            let rejected = Examples.record(value: try Examples.event.encoded())
            let rejection = Rejection(of: rejected, reason: "is broken", service: "test", time: 1, attempts: 2)
            return [rejection.outgoing(rejected).headers, rejection.replayed(rejected).headers].map { headers in
                var seed = FuzzSeed()
                for header in headers {
                    seed.text(header.name)
                    seed.bytes(header.value)
                }
                return seed.input
            }
        },
        words: [
            "rejected-topic", "rejected-partition", "rejected-offset", "rejected-attempts", "rejected-time",
            "rejected-value-bytes", "replays", "content-type", "application/json", "9223372036854775807",
            "-9223372036854775808",
        ],
        run: { bytes in
            var input = FuzzInput(bytes)
            var record = Examples.record(value: [])
            while !input.isEmpty { record.headers.append(Header(input.text(), bytes: input.bytes())) }
            _ = try? ContentType(header: record.header(ContentType.header), value: record.value ?? [])
            let again = Rejection(of: record, reason: "again", service: "test", time: 0, attempts: 1)
            _ = again.outgoing(record)
            guard let read = Rejection(headersOf: record) else { return }
            _ = read.replayed(record)
        }
    )

    /// A partition's records, applied to timelines that were restored from hostile records.
    private static let timelineUpdate = FuzzTarget(
        name: "timeline-update",
        seeds: {
            var seed = FuzzSeed()
            let records: [(kind: UInt8, value: [UInt8])] = [
                (2, try Examples.timeline.encoded()), (0, try Examples.event.encoded()),
                (0, try Examples.event.encoded()), (1, try Examples.event.encodedJSON()), (3, []),
            ]
            for (offset, record) in records.enumerated() {
                seed.byte(record.kind)
                seed.text(Examples.user)
                seed.number(Int64(offset))
                seed.bytes(record.value)
            }
            return [seed.input]
        },
        run: { bytes in
            var input = FuzzInput(bytes)
            var (stored, events): ([Record], [Record]) = ([], [])
            while !input.isEmpty {
                let kind = input.byte() % 4
                let (key, offset) = (input.bytes(), input.number())
                var record = Examples.record(value: input.bytes(), offset: offset, timestamp: offset)
                record.key = key
                if kind == 1 { record.headers = [Header(ContentType.header, ContentType.jsonValue)] }
                if kind == 3 { record.value = nil }
                if kind == 2 { stored.append(record) } else { events.append(record) }
            }
            var store = TimelineStore(length: 4)
            store.open(0)
            var columns = TimelineColumns()
            for record in stored {
                guard let value = record.value else { continue }
                try columns.read(value.span)
                try store.restore(columns, from: value.span, in: 0)
            }
            let routing = EventRouting(partitionCount: 1, ends: [0: .max])
            let update = TimelineUpdate(applying: events, to: &store, routing: routing)
            for changed in update.changed {
                guard (try? changed.timeline.encoded()) != nil else {
                    return expect(false, "\(changed.timeline) is in memory, but cannot be written")
                }
            }
        }
    )

    /// What JSON and its traps are made of.
    static let jsonWords = [
        "null", "true", "false", "1e999", "-0", "1e-400", "9223372036854775807", "18446744073709551615", "\\u0000",
        "\\ud800", "\\udc00", "[[[[[[[[", "{\"a\":", "\u{FEFF}", "\"", "\":\"", ",",
    ]
}
