import Foundation
import Bytes
import Messages
import Testing

@Suite struct WireRecordTests {
    @Test func generatedCodeIsWhatTheProtoFilesGive() throws {
        let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        let process = Process()
        process.executableURL = root.appending(path: "Deploy/generate-messages")
        process.arguments = ["--check"]
        let pipe = Pipe()
        process.standardOutput = pipe
        process.standardError = pipe
        try process.run()
        let output = String(decoding: pipe.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        #expect(process.terminationStatus == 0, "\(output)")
    }

    @Test func bytesThatAreNoRecordAreRefused() {
        let noise: [[UInt8]] = [[0xFF], [0x0A, 0x7F, 0x41], Array("{\"user\":\"u\"}".utf8), [0x0A, 0x80]]
        for bytes in noise {
            #expect(throws: MessageError.self) { try Event(decoding: bytes, contentType: nil) }
            #expect(throws: MessageError.self) { try Timeline(decoding: bytes, contentType: nil) }
            #expect(throws: MessageError.self) { try UserEmbedding(decoding: bytes, contentType: nil) }
            #expect(throws: MessageError.self) { try Question(decoding: bytes, contentType: nil) }
            #expect(throws: MessageError.self) { try Answer(decoding: bytes, contentType: nil) }
        }
    }

    @Test func noBytesNameTheFirstMissingField() {
        #expect(throws: MessageError(field: "user", reason: "is empty: give a non-empty string")) {
            try Event(decoding: [], contentType: nil, receivedAt: 1)
        }
    }

    @Test func nulInProtobufTextIsRefusedNotCutOff() {
        // user = "a\0b", item = "i", time = 1
        let bytes: [UInt8] = [0x0A, 3, 0x61, 0, 0x62, 0x12, 1, 0x69, 0x18, 1]
        let error = #expect(throws: MessageError.self) { try Event(decoding: bytes, contentType: nil) }
        #expect(error?.field == "user")
        #expect(error?.reason.contains("NUL") == true)
    }

    @Test func invalidUTF8InProtobufTextIsRefused() {
        let bytes: [UInt8] = [0x0A, 2, 0x61, 0xC3, 0x12, 1, 0x69, 0x18, 1]
        #expect(throws: MessageError(field: "user", reason: "is not UTF-8 (0xC3 at byte 1): send text in UTF-8")) {
            try Event(decoding: bytes, contentType: nil)
        }
    }

    @Test func unknownContentTypeIsNamed() {
        let error = #expect(throws: MessageError.self) {
            try Event(decoding: [], contentType: "text/csv")
        }
        #expect(error?.field == "content-type")
    }

    /// Kafka Connect, ksqlDB and plain producers send no header; others write it in their own way.
    @Test(
        arguments: [
            nil, "", "application/json", "Application/JSON; charset=latin1", "application/json;charset=\"utf-8\";v=2",
            "text/json",
            "application/octet-stream", "application/x-protobuf", "text/plain", " application/vnd.acme+json ; q=1",
        ] as [String?]
    )
    func whatBeginsWithABraceIsJSON(type: String?) throws {
        let event = Event(user: "u", item: "i", time: 1_700_000_000_000)
        #expect(try Event(decoding: event.encodedJSON(), contentType: type) == event)
        #expect(try Event(decoding: [0xEF, 0xBB, 0xBF] + event.encodedJSON(), contentType: type) == event)
        let embedding = UserEmbedding(
            user: "u",
            modelVersion: "v",
            generation: 0,
            eventCount: 1,
            sourcePartition: 0,
            sourceOffset: 0,
            appendedAt: 0,
            rows: 1,
            columns: 2,
            context: [0, -1.5],
            pooled: []
        )
        #expect(try UserEmbedding(decoding: embedding.encodedJSON(), contentType: type) == embedding)
        let timeline = Timeline(user: "u", eventCount: 1, events: [TimelineEvent(item: "i", time: 3, idDigest: 5)])
        #expect(try Timeline(decoding: timeline.encodedJSON(), contentType: type) == timeline)
        let question = Question(id: "q", user: "u", text: "?", seed: .max, askedAt: 5, deadline: 1_700_000_000_000)
        #expect(try Question(decoding: question.encodedJSON(), contentType: type) == question)
        let answer = Answer(questionID: "q", user: "u", status: .failed, reason: "no", askedAt: 1, answeredAt: 2)
        #expect(try Answer(decoding: answer.encodedJSON(), contentType: type) == answer)
        let token = AnswerToken(questionID: "q", position: .max, text: " the")
        #expect(try AnswerToken(decoding: token.encodedJSON(), contentType: type) == token)
    }

    @Test(arguments: [nil, "application/json", "application/x-protobuf", "application/vnd.schemaregistry.v1+avro"])
    func theFrameOfASchemaRegistryIsNamed(type: String?) {
        let frames = [[0, 0, 0, 1, 42] + Array(#"{"user":"u","item":"i"}"#.utf8), [0, 0, 0, 1, 42, 0, 0x0A, 1, 0x61]]
        for frame in frames {
            let error = #expect(throws: MessageError.self) {
                try Event(decoding: frame, contentType: type, receivedAt: 1)
            }
            #expect(error?.reason.contains("schema id 298") == true, "\(String(describing: error))")
            #expect(throws: MessageError.self) { try Question(decoding: frame, contentType: type) }
        }
    }

    @Test(arguments: [Float.nan, .infinity, -.infinity])
    func numbersMustBeFinite(value: Float) {
        #expect(throws: MessageError.self) { try Event(user: "u", item: "i", rating: value, time: 0).encoded() }
        var embedding = UserEmbedding(
            user: "u",
            modelVersion: "v",
            generation: 0,
            eventCount: 1,
            sourcePartition: 0,
            sourceOffset: 0,
            appendedAt: 0,
            rows: 1,
            columns: 2,
            context: [0, 0],
            pooled: [0]
        )
        #expect(throws: Never.self) { try embedding.encoded() }
        embedding.context[1] = value
        let error = #expect(throws: MessageError.self) { try embedding.encoded() }
        #expect(error?.field == "context[1]")
    }

    @Test func shapeMustFitTheNumbers() {
        let embedding = UserEmbedding(
            user: "u",
            modelVersion: "v",
            generation: 0,
            eventCount: 1,
            sourcePartition: 0,
            sourceOffset: 0,
            appendedAt: 0,
            rows: 2,
            columns: 2,
            context: [0, 0, 0],
            pooled: []
        )
        let error = #expect(throws: MessageError.self) { try embedding.encoded() }
        #expect(error?.field == "context")
    }

    @Test func timelineErrorsNameTheEvent() {
        let events = [TimelineEvent(item: "a", time: 1), TimelineEvent(item: "", time: 1)]
        let error = #expect(throws: MessageError.self) {
            try Timeline(user: "u", eventCount: 2, events: events).encoded()
        }
        #expect(error?.field == "events[1].item")
        #expect(throws: MessageError.self) { try Timeline(user: "u", eventCount: 0, events: [events[0]]).encoded() }
    }

    @Test func questionsInJSONHaveDefaults() throws {
        let json = #"{"id":"q","user":"u","text":"?","asked_at":1700000000,"deadline":"1970-01-01T00:00:02+00"}"#
        let question = try Question(decoding: Array(json.utf8), contentType: "application/json")
        #expect(question == Question(id: "q", user: "u", text: "?", askedAt: 1_700_000_000_000, deadline: 2_000))
        let wrong = #"{"id":"q","user":"u","text":"?","asked_at":1700000000,"deadline":1700000009,"form":"poem"}"#
        let error = #expect(throws: MessageError.self) {
            try Question(decoding: Array(wrong.utf8), contentType: "application/json")
        }
        #expect(error?.field == "form")
        #expect(error?.reason.contains("known, title, category, text") == true)
        let other =
            #"{"question_id":7,"user_id":8,"question":"?","items":3,"asked_at":1700000000,"deadline":1700000009}"#
        #expect(
            try Question(decoding: Array(other.utf8), contentType: nil)
                == Question(
                    id: "7",
                    user: "8",
                    text: "?",
                    itemCount: 3,
                    askedAt: 1_700_000_000_000,
                    deadline: 1_700_000_009_000
                )
        )
    }
}
