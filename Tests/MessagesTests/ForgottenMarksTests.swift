import Bytes
import Messages
import Testing

@Suite struct ForgottenMarksTests {
    typealias Mark = ForgottenMarks.Mark
    typealias Settled = Timeline.Source

    private static func varint(_ value: UInt64) -> [UInt8] {
        value < 0x80 ? [UInt8(value)] : [UInt8(value & 0x7F) | 0x80] + varint(value >> 7)
    }

    /// The record as anybody might write it, one number at a time.
    private static func bytes(_ marks: ForgottenMarks) -> [UInt8] {
        func number(_ field: UInt8, _ value: UInt64) -> [UInt8] { [field << 3] + varint(value) }
        var bytes: [UInt8] = []
        for mark in marks.settled {
            bytes += number(1, UInt64(UInt32(bitPattern: mark.partition)))
            bytes += number(2, UInt64(bitPattern: mark.offset))
        }
        if marks.settledUntil != -1 { bytes += number(3, UInt64(bitPattern: marks.settledUntil)) }
        for mark in marks.recent {
            bytes += number(4, UInt64(UInt32(bitPattern: mark.partition)))
            bytes += number(5, UInt64(bitPattern: mark.offset)) + number(6, UInt64(bitPattern: mark.deletion))
        }
        return bytes
    }

    @Test(
        arguments: [
            ForgottenMarks(),
            ForgottenMarks(settled: [Settled(partition: 3, offset: 0)], settledUntil: 0),
            ForgottenMarks(recent: [Mark(partition: 0, offset: 0, deletion: 0)]),
            ForgottenMarks(
                settled: [Settled(partition: 0, offset: .max - 1), Settled(partition: .max, offset: 12)],
                settledUntil: .max - 1,
                recent: [
                    Mark(partition: 2, offset: 5, deletion: 70), Mark(partition: 2, offset: 6, deletion: 71),
                    // Another partition begins anew.
                    Mark(partition: 3, offset: 1, deletion: 2),
                    Mark(partition: .max, offset: .max - 1, deletion: .max - 1),
                ]
            ),
        ]
    )
    func whatIsWrittenIsReadAgain(marks: ForgottenMarks) throws {
        #expect(try ForgottenMarks(decoding: marks.encoded(), contentType: nil) == marks)
        #expect(try ForgottenMarks(decoding: marks.encodedJSON(), contentType: ContentType.jsonValue) == marks)
        #expect(try ForgottenMarks(decoding: Self.bytes(marks), contentType: nil) == marks)
    }

    @Test(
        arguments: [
            (ForgottenMarks(settled: [Settled(partition: -1, offset: 0)]), "settled_partitions[0]"),
            (ForgottenMarks(settled: [Settled(partition: 0, offset: -1)]), "settled_offsets[0]"),
            (ForgottenMarks(settled: [Settled(partition: 0, offset: .max)]), "settled_offsets[0]"),
            (
                ForgottenMarks(settled: [Settled(partition: 1, offset: 0), Settled(partition: 1, offset: 1)]),
                "settled_partitions[1]"
            ),
            (ForgottenMarks(settled: [Settled(partition: 0, offset: 0)]), "settled_until"),
            (ForgottenMarks(settled: [Settled(partition: 0, offset: 0)], settledUntil: .max), "settled_until"),
            (ForgottenMarks(settledUntil: 0), "settled_until"),
            (ForgottenMarks(recent: [Mark(partition: -7, offset: 0, deletion: 0)]), "recent_partitions[0]"),
            (ForgottenMarks(recent: [Mark(partition: 0, offset: -1, deletion: 0)]), "recent_offsets[0]"),
            (ForgottenMarks(recent: [Mark(partition: 0, offset: 0, deletion: .max)]), "recent_deletions[0]"),
            (ForgottenMarks(recent: [Mark(partition: 0, offset: 0, deletion: .min)]), "recent_deletions[0]"),
            (
                ForgottenMarks(recent: [
                    Mark(partition: 2, offset: 0, deletion: 0), Mark(partition: 1, offset: 9, deletion: 9),
                ]), "recent_partitions[1]"
            ),
            // Of one partition neither may stand still: the second would say nothing, or the first.
            (
                ForgottenMarks(recent: [
                    Mark(partition: 2, offset: 4, deletion: 6), Mark(partition: 2, offset: 5, deletion: 6),
                ]), "recent_partitions[1]"
            ),
            (
                ForgottenMarks(recent: [
                    Mark(partition: 2, offset: 4, deletion: 6), Mark(partition: 2, offset: 4, deletion: 7),
                ]), "recent_partitions[1]"
            ),
        ]
    )
    func marksThatCannotBeAreRefused(marks: ForgottenMarks, field: String) {
        #expect(#expect(throws: MessageError.self) { try marks.encoded() }?.field == field)
        #expect(#expect(throws: MessageError.self) { try marks.encodedJSON() }?.field == field)
        let read = #expect(throws: MessageError.self) {
            try ForgottenMarks(decoding: Self.bytes(marks), contentType: nil)
        }
        #expect(read?.field == field)
    }

    @Test(
        arguments: [
            ([0x08, 1], "settled_offsets"), ([0x10, 1], "settled_offsets"), ([0x20, 1, 0x30, 1], "recent_offsets"),
            ([0x20, 1, 0x28, 1], "recent_deletions"), ([0x28, 1], "recent_offsets"), ([0x30, 1], "recent_deletions"),
        ] as [([UInt8], String)]
    )
    func columnsOfDifferentLengthsAreRefused(bytes: [UInt8], field: String) {
        let error = #expect(throws: MessageError.self) { try ForgottenMarks(decoding: bytes, contentType: nil) }
        #expect(error?.field == field)
    }

    @Test(arguments: [
        #"{"recent":[{"partition":1,"offset":2}]}"#, #"{"settled":[{"offset":2}]}"#, #"{"settled":{}}"#,
        #"{"recent":[{"partition":2147483648,"offset":2,"deletion":3}]}"#, #"{"settled":[]"#,
        #"{"settled":[{"partition":0,"offset":2}]}"#,
    ])
    func jsonThatIsNoneIsRefused(text: String) {
        #expect(throws: MessageError.self) { try ForgottenMarks(decoding: Array(text.utf8), contentType: nil) }
    }

    @Test func theMostMarksFitIntoHalfARecordOfTheLogAndMoreAreRefused() throws {
        var marks = ForgottenMarks(
            settled: (0..<Limits.sourceCount).map {
                Settled(partition: .max - 5_000 + Int32($0), offset: .max - 1)
            },
            settledUntil: .max - 1,
            recent: (0..<Limits.recentMarkCount).map {
                Mark(partition: .max, offset: .max - 20_000 + Int64($0), deletion: .max - 20_000 + Int64($0))
            }
        )
        let bytes = try marks.encoded()
        #expect(bytes.count < 524_288)
        #expect(try ForgottenMarks(decoding: bytes, contentType: nil) == marks)
        marks.recent.insert(Mark(partition: 0, offset: 0, deletion: 0), at: 0)
        #expect(#expect(throws: MessageError.self) { try marks.encoded() }?.field == "recent_partitions")
        let tooMany = Self.bytes(marks)
        #expect(throws: MessageError.self) { try ForgottenMarks(decoding: tooMany, contentType: nil) }
        marks.recent = []
        marks.settled.insert(Settled(partition: 0, offset: 0), at: 0)
        #expect(#expect(throws: MessageError.self) { try marks.encoded() }?.field == "settled_partitions")
    }

    @Test func theKeyIsNobodysID() throws {
        let user = try #require(String(validating: ForgottenMarks.key, as: UTF8.self))
        let event = Event(user: UserID(user), item: "i", time: 1)
        #expect(#expect(throws: MessageError.self) { try event.encoded() }?.field == "user")
    }
}
