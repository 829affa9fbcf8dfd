import Bytes
import Messages
import TestSupport
import Testing

/// Damaged records are refused with a reason, or are still records; nothing crashes.
@Suite struct FuzzedRecordsTests {
    private static let count = Fuzzer.count(full: 500_000, daily: 20_000)

    /// Tries damaged forms of a record, in both encodings.
    private func fuzz(_ record: some WireRecord & Equatable, seed: UInt64) throws {
        var fuzzer = Fuzzer(seed: seed)
        let forms: [(bytes: [UInt8], type: String?)] = [
            (try record.encoded(), nil), (try record.encodedJSON(), ContentType.jsonValue),
        ]
        var refused = 0
        for index in 0..<Self.count / 6 {
            let form = forms[index % 2]
            let bytes = fuzzer.damaged(form.bytes)
            let read: any WireRecord
            do throws(MessageError) {
                read = try type(of: record).init(decoding: bytes, contentType: form.type)
            } catch {
                refused += 1
                guard error.reason.isEmpty || error.description.utf8.count > 2_000 else { continue }
                Issue.record("no good reason for \(bytes): \(error)")
                return
            }
            // What was accepted is within the limits, so it can be written, and is the same when it is read again.
            let again = try type(of: read).init(decoding: read.encoded(), contentType: nil)
            let isSame = try again.encoded() == read.encoded()
            #expect(isSame, "\(bytes)")
        }
        #expect(refused > Self.count / 60)
    }

    @Test func events() throws {
        try fuzz(
            Event(
                id: "e-1",
                user: "ü1",
                item: "m260",
                type: "view",
                rating: 4.5,
                categories: ["a", "b"],
                text: "t",
                time: 7
            ),
            seed: 1
        )
    }

    @Test func timelines() throws {
        let events = (0..<5).map {
            TimelineEvent(item: "i\($0)", rating: Float($0), categories: ["c\($0 % 2)"], time: Int64(1_000 + $0))
        }
        try fuzz(
            Timeline(
                user: "u",
                generation: 1,
                eventCount: 9,
                lastOffset: 44,
                events: events,
                earlierItems: ["h1", "h2"]
            ),
            seed: 2
        )
    }

    @Test func forgottenMarks() throws {
        try fuzz(
            ForgottenMarks(
                settled: [Timeline.Source(partition: 1, offset: 700), Timeline.Source(partition: 4, offset: 3)],
                settledUntil: 30,
                recent: (0..<4).map {
                    ForgottenMarks.Mark(partition: $0 / 2, offset: 90 + Int64($0), deletion: 40 + Int64($0) * 200)
                }
            ),
            seed: 7
        )
    }

    @Test func embeddings() throws {
        try fuzz(
            UserEmbedding(
                user: "u",
                modelVersion: "v",
                generation: 0,
                eventCount: 3,
                sourcePartition: 1,
                sourceOffset: 2,
                appendedAt: 5,
                rows: 2,
                columns: 3,
                context: [0, 1, -2, 3.5, 4, 5],
                pooled: [1, 2, 3],
                seenItems: SeenItems([3, 200, 70_000])
            ),
            seed: 3
        )
    }

    @Test func questions() throws {
        try fuzz(
            Question(
                id: "q",
                user: "u",
                text: "What next?",
                includesSeen: true,
                minimumEventCount: 4,
                askedAt: 5,
                deadline: 9
            ),
            seed: 4
        )
    }

    @Test func conversations() throws {
        try fuzz(
            Question(
                id: "q",
                user: "u",
                text: "And now?",
                system: "Be brief.",
                turns: [.init(role: .user, text: "What next?"), .init(role: .assistant, text: "Heat")],
                form: .text,
                temperature: 0.5,
                topK: 40,
                topP: 0.9,
                minP: 0.05,
                repetitionPenalty: 1.1,
                presencePenalty: -0.5,
                frequencyPenalty: 0.25,
                stop: ["\n", "END"],
                askedAt: 5,
                deadline: 9
            ),
            seed: 8
        )
    }

    @Test func answers() throws {
        try fuzz(
            Answer(
                questionID: "q",
                user: "u",
                status: .answered,
                text: "Heat",
                items: [Answer.Item(id: "i", title: "Heat", score: 0.5)],
                modelVersion: "v",
                eventCount: 3,
                askedAt: 1,
                answeredAt: 2,
                promptTokens: 31,
                answerTokens: 2,
                finish: .stop
            ),
            seed: 5
        )
    }

    @Test func answerTokens() throws {
        try fuzz(AnswerToken(questionID: "q", position: 3, text: " the"), seed: 6)
    }
}
