import Datasets
import Foundation
import HTTPServer
import JSON
import Messages

@testable import EventIngestor
@testable import Gateway

/// Bodies of requests, and what a process keeps for itself as JSON.
enum BodyTargets {
    static let all = [json, events, question, importState]

    private static let contentTypes = [nil, "application/json", "application/x-ndjson", "text/plain"]

    /// The reader of JSON itself: what it takes, Foundation's takes too.
    private static let json = FuzzTarget(
        name: "json",
        seeds: {
            [#"{"a":[1,-2.5e-3,true,null,"\u00e9\ud83d\ude00\n"],"b":{"c":{}}}"#, "[]", "-0.0", #""\"""#].map {
                Array($0.utf8)
            }
        },
        words: RecordTargets.jsonWords,
        run: { bytes in
            let value = try JSONValue(parsing: bytes, maximumCount: 10_000)
            _ = try? JSONValue.decode([String: Double].self, from: bytes)
            // Foundation drops no byte order mark.
            let mark: [UInt8] = [0xEF, 0xBB, 0xBF]
            let text = bytes.starts(with: mark) ? bytes.dropFirst(3) : bytes[...]
            let other = try? JSONSerialization.jsonObject(with: Data(text), options: .fragmentsAllowed)
            expect(other != nil, "\(value.shown) was taken, and Foundation refuses it")
        }
    )

    /// A request's body, cut into events, each of which is read: the first byte says the content type.
    private static let events = FuzzTarget(
        name: "event-body",
        longest: 65_536,
        seeds: {
            let event = try Examples.event.encodedJSON()
            let array = Array("[".utf8) + event + Array(",".utf8) + event + Array("]".utf8)
            return [[0] + event, [1] + array, [2] + event + [0x0A] + event + [0x0D, 0x0A], [3] + array]
        },
        words: RecordTargets.jsonWords + [
            "\"user\":", "\"item\":", "\"user_id\":", "\"timestamp\":", "\"time\":", "\"rating\":", "\"categories\":",
            "}\n{",
            "},{", "2026-01-31T12:00:00+02",
        ],
        run: { bytes in
            guard let first = bytes.first else { return }
            let type = contentTypes[Int(first) % contentTypes.count]
            let headers = type.map { [(name: "content-type", value: $0)] } ?? []
            var body = try EventBody(
                HTTPRequest(method: "POST", path: "/v1/events", headers: headers, body: Array(bytes.dropFirst()))
            )
            var (last, refused) = (0, 0)
            while refused < EventOutcome.maximumRejectedCount, let piece = body.next() {
                expect(piece.range.lowerBound >= last && piece.range.upperBound <= body.bytes.count, "\(piece.range)")
                last = piece.range.upperBound
                let text = Array(body.bytes[piece.range])
                guard let event = try? Event(decoding: text, contentType: ContentType.jsonValue, receivedAt: 1) else {
                    refused += 1
                    continue
                }
                expect((try? event.encoded()) != nil, "\(event) was taken, but cannot be written")
            }
        }
    )

    /// The body of a question.
    private static let question = FuzzTarget(
        name: "question-body",
        seeds: {
            [try Examples.question.encodedJSON(), try Examples.chat.encodedJSON()]
                + [Array(#"{"user":"u","question":"What next?","deadline_ms":5}"#.utf8)]
        },
        words: RecordTargets.jsonWords + [
            "\"user\":", "\"question\":", "\"form\":", "\"title\"", "\"items\":", "\"seed\":", "\"deadline\":",
            "\"asked_at\":",
            "\"minimum_event_count\":", "\"temperature\":", "\"maximum_tokens\":",
            "\"system\":", "\"turns\":", "\"role\":", "\"assistant\"", "\"top_k\":", "\"top_p\":", "\"min_p\":",
            "\"repetition_penalty\":", "\"presence_penalty\":", "\"frequency_penalty\":", "\"stop\":",
        ],
        run: { bytes in
            let question = try QuestionBody(bytes).question(now: 1_700_000_000_000, defaultDeadline: .seconds(60))
            expect((try? question.encoded()) != nil, "\(question) was taken, but cannot be written")
        }
    )

    /// The state of an import as it stands on the disk, whose digest whoever changes it can make anew.
    private static let importState = FuzzTarget(
        name: "import-state",
        seeds: {
            var state = ImportState(id: "f000000000000000", order: "time", format: "movielens")
            return [try state.sealed("state"), try sealed(&state)]
        },
        words: RecordTargets.jsonWords + [
            "byteOffset", "line", "doneCount", "pendingCount", "checkpoints", "isSorted",
        ],
        run: { bytes in
            _ = try? ImportState.decoded(bytes, "state")
            guard let state = try SealedImportState(bytes).state else { return }
            let again = try ImportState.decoded(state.sealed("state"), "state")
            expect(again == state, "a state is another when it is read again")
        }
    )

    private static func sealed(_ state: inout ImportState) throws -> [UInt8] {
        state.part = ImportState.Part(
            firstEvent: 0,
            eventCount: 10,
            start: .start,
            end: .start,
            isSorted: true
        )
        return try state.sealed("state")
    }
}
