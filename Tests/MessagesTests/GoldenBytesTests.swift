import Bytes
import Messages
import Testing

/// The bytes of every version of each record, made with `protoc-c --encode` from the `.proto` files, not with our code.
///
/// They stay for ever: what an old producer wrote must be read by every later version.
@Suite struct GoldenBytesTests {
    @Test func eventIsReadAndWrittenAsVersion1() throws {
        try check(
            Event(
                id: "e-1",
                user: "u-1",
                item: "m-260",
                type: "rating",
                rating: 4.5,
                categories: ["Action", "Sci-Fi"],
                text: "grüße",
                time: 978_300_760_000
            ),
            "0a03752d3112056d2d32363018c0df93babc1c25000090402a06726174696e673206416374696f6e32065363692d46693a076772c3bcc39f"
                + "654203652d31"
        )
    }

    @Test func timelineIsReadAndWritten() throws {
        try check(
            Timeline(
                user: "u-1",
                generation: 2,
                eventCount: 70,
                lastOffset: 123_456,
                events: [
                    TimelineEvent(item: "m-260", rating: 5, categories: ["Action", "Sci-Fi"], time: 978_300_760_000),
                    TimelineEvent(
                        item: "m-1",
                        time: 978_300_761_000,
                        idDigest: TimelineEvent.digest(ofID: "e-1")
                    ),
                    TimelineEvent(item: "m-260", rating: 3.75, categories: ["Sci-Fi"], time: 978_300_701_000),
                ]
            ),
            "0a03752d31100218462080890f32056d2d32363032036d2d313a06416374696f6e3a065363692d4669420502000101014a080000a040"
                + "0000704052030001005a0301000262030100026a07b0bdfda407027770e8077a180000000000000000b94f523196aaacd80000"
                + "000000000000"
        )
    }

    @Test func timelineWithoutRatingsCategoriesAndIDsIsReadAndWritten() throws {
        try check(
            Timeline(user: "u-1", eventCount: 1, events: [TimelineEvent(item: "m-1", time: 978_300_760_001)]),
            "0a03752d3110001801200132036d2d315201006a0682bfa7f4f838"
        )
        try check(Timeline(user: "u-1", generation: 1, eventCount: 9), "0a03752d31100118092001")
    }

    @Test func timelineWithEarlierItemsIsReadAndWritten() throws {
        try check(
            Timeline(
                user: "u-1",
                eventCount: 9,
                lastOffset: 7,
                events: [
                    TimelineEvent(item: "m-1", time: 978_300_760_001),
                    TimelineEvent(item: "m-2", time: 978_300_760_006),
                ],
                earlierItems: ["m-7", "m-3"]
            ),
            "0a03752d3110001809200e32036d2d3132036d2d3232036d2d3732036d2d33520200016a0782bfa7f4f8380a900102"
        )
    }

    @Test func forgottenMarksAreReadAndWrittenAsVersion1() throws {
        try check(
            ForgottenMarks(
                settled: [Timeline.Source(partition: 0, offset: 123_456), Timeline.Source(partition: 7, offset: 3)],
                settledUntil: 900,
                recent: [
                    ForgottenMarks.Mark(partition: 2, offset: 40, deletion: 1_000),
                    ForgottenMarks.Mark(partition: 2, offset: 300, deletion: 1_001),
                    ForgottenMarks.Mark(partition: 7, offset: 9, deletion: 1_000),
                ]
            ),
            "0a0200071204c0c4070318840722030202072a0428ac02093206e807e907e807"
        )
    }

    /// Writers before the first release put an empty entry there.
    @Test func anEntryOfTheReservedFieldIsPassedOver() throws {
        let timeline = Timeline(user: "u-1", eventCount: 1, events: [TimelineEvent(item: "m-1", time: 978_300_760_001)])
        let golden = "0a03752d311000180120012a0032036d2d315201006a0682bfa7f4f838"
        #expect(try Timeline(decoding: bytes(golden), contentType: nil) == timeline)
    }

    @Test func columnsMayAlsoBeWrittenUnpackedAndInPieces() throws {
        let timeline = Timeline(
            user: "u",
            eventCount: 2,
            events: [TimelineEvent(item: "a", rating: 1, time: 3), TimelineEvent(item: "b", rating: 1, time: 5)]
        )
        // event_items as two numbers, event_ratings as two packed pieces, event_times as one and one, ratings unpacked.
        let bytes: [UInt8] =
            [0x0A, 1, 0x75, 0x18, 2, 0x20, 1, 0x32, 1, 0x61, 0x32, 1, 0x62, 0x50, 0, 0x50, 1]
            + [0x4D, 0, 0, 0x80, 0x3F, 0x62, 1, 1, 0x62, 1, 1, 0x68, 6, 0x6A, 1, 4]
        #expect(try Timeline(decoding: bytes, contentType: nil) == timeline)
    }

    @Test func userEmbeddingIsReadAndWrittenAsVersion1() throws {
        try check(
            UserEmbedding(
                user: "u-1",
                modelVersion: "v1",
                generation: 1,
                eventCount: 7,
                sourcePartition: 3,
                sourceOffset: 88_121,
                appendedAt: 978_300_760_000,
                rows: 2,
                columns: 2,
                context: [1, -2, 0.5, 0],
                pooled: [0.25]
            ),
            "0a03752d311202763118012007280330b9b00538c0df93babc1c4002480252100000803f000000c00000003f000000005a040000803e"
        )
    }

    @Test func userEmbeddingIsReadAndWrittenAsVersion2() throws {
        try check(
            UserEmbedding(
                user: "u-1",
                modelVersion: "v1",
                generation: 1,
                eventCount: 7,
                sourcePartition: 3,
                sourceOffset: 88_121,
                appendedAt: 978_300_760_000,
                rows: 1,
                columns: 1,
                context: [1],
                pooled: [0.25],
                seenItems: SeenItems([3, 132, 61_572])
            ),
            "0a03752d311202763118012007280330b9b00538c0df93babc1c4001480152040000803f5a040000803e620603810180e003"
        )
    }

    @Test func questionIsReadAndWrittenAsVersion1() throws {
        try check(
            Question(
                id: "q-1",
                user: "u-1",
                text: "What next?",
                form: .title,
                itemCount: 5,
                maximumTokens: 16,
                temperature: 0.5,
                seed: 42,
                minimumEventCount: 3,
                askedAt: 978_300_760_000,
                deadline: 978_300_770_000
            ),
            "0a03712d311203752d311a0a57686174206e6578743f2001280530103d0000003f402a480350c0df93babc1c58d0ad94babc1c"
        )
    }

    @Test func answerIsReadAndWrittenAsVersion1() throws {
        try check(
            Answer(
                questionID: "q-1",
                user: "u-1",
                status: .noHistory,
                text: "Alien",
                items: [Answer.Item(id: "m-1", title: "Alien", score: -0.5)],
                reason: "r",
                modelVersion: "v1",
                eventCount: 9,
                askedAt: 978_300_760_000,
                answeredAt: 978_300_760_050,
                firstTokenMicroseconds: 1_200,
                computeMicroseconds: 5_000
            ),
            "0a03712d311203752d3118022205416c69656e2a110a036d2d311205416c69656e1d000000bf3201723a027631400948c0df93babc1c50f2"
                + "df93babc1c58b009608827"
        )
    }

    @Test func questionIsReadAndWrittenAsVersion2() throws {
        try check(
            Question(
                id: "q-1",
                user: "u-1",
                text: "And now?",
                system: "Be brief.",
                turns: [.init(role: .user, text: "What next?"), .init(role: .assistant, text: "grüße")],
                form: .text,
                maximumTokens: 64,
                temperature: 0.5,
                seed: 42,
                topK: 40,
                topP: 0.75,
                minP: 0.125,
                repetitionPenalty: 1.5,
                presencePenalty: -0.5,
                frequencyPenalty: 0.25,
                stop: ["\n", "END"],
                askedAt: 978_300_760_000,
                deadline: 978_300_770_000
            ),
            "0a03712d311203752d311a08416e64206e6f773f2003280a30403d0000003f402a480050c0df93babc1c58d0ad94babc1c620942652062"
                + "726965662e6a0e0801120a57686174206e6578743f6a0b080212076772c3bcc39f6570287d0000403f85010000003e8d010000c0"
                + "3f9501000000bf9d010000803ea201010aa20103454e44"
        )
    }

    @Test func questionIsReadAndWrittenAsVersion3() throws {
        try check(
            Question(
                id: "q-1",
                user: "u-1",
                text: "What next?",
                form: .title,
                itemCount: 5,
                maximumTokens: 16,
                temperature: 0.5,
                seed: 42,
                includesSeen: true,
                minimumEventCount: 3,
                askedAt: 978_300_760_000,
                deadline: 978_300_770_000
            ),
            "0a03712d311203752d311a0a57686174206e6578743f2001280530103d0000003f402a480350c0df93babc1c58d0ad94babc1ca80101"
        )
    }

    @Test func answerIsReadAndWrittenAsVersion2() throws {
        try check(
            Answer(
                questionID: "q-1",
                user: "u-1",
                status: .answered,
                text: "Alien",
                modelVersion: "v1",
                eventCount: 9,
                askedAt: 978_300_760_000,
                answeredAt: 978_300_760_050,
                firstTokenMicroseconds: 1_200,
                computeMicroseconds: 5_000,
                promptTokens: 300,
                answerTokens: 2,
                finish: .length
            ),
            "0a03712d311203752d3118012205416c69656e32003a027631400948c0df93babc1c50f2df93babc1c58b00960882768ac0270027802"
        )
    }

    @Test func answerTokenIsReadAndWrittenAsVersion1() throws {
        try check(AnswerToken(questionID: "q-1", position: 3, text: "Ali"), "0a03712d3110031a03416c69")
    }

    @Test func fieldsOfALaterVersionAreSkipped() throws {
        // Field 100, a text, behind a whole event.
        let bytes = try Event(user: "u", item: "i", time: 5).encoded() + [0xA2, 0x06, 0x03, 0x6E, 0x65, 0x77]
        #expect(try Event(decoding: bytes, contentType: nil) == Event(user: "u", item: "i", time: 5))
    }

    /// Golden bytes give the record, the record gives golden bytes, and its JSON gives the record again.
    private func check<Value: WireRecord & Equatable>(_ record: Value, _ golden: String) throws {
        #expect(hexadecimal(try record.encoded()) == golden)
        #expect(try Value(decoding: bytes(golden), contentType: nil) == record)
        #expect(try Value(decoding: record.encodedJSON(), contentType: "application/json; charset=utf-8") == record)
    }

    private func hexadecimal(_ bytes: [UInt8]) -> String {
        bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }

    private func bytes(_ hexadecimal: String) -> [UInt8] {
        let digits = hexadecimal.compactMap(\.hexDigitValue)
        return stride(from: 0, to: digits.count, by: 2).map { UInt8(digits[$0] * 16 + digits[$0 + 1]) }
    }
}
