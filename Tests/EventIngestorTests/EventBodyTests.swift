import HTTPServer
import Testing

@testable import EventIngestor

@Suite struct EventBodyTests {
    private func body(_ text: String, _ type: String? = nil) throws -> EventBody {
        let headers = type.map { [(name: "Content-Type", value: $0)] } ?? []
        return try EventBody(HTTPRequest(method: "POST", path: "/", headers: headers, body: Array(text.utf8)))
    }

    private func cut(_ text: String, _ type: String? = nil) async throws -> [String] {
        var body = try body(text, type)
        try await body.checkWhole(every: 16) {}
        var pieces: [String] = []
        while let piece = body.next() {
            let place =
                switch piece.place {
                case .line(let line): "line \(line)"
                case .index(let index): "index \(index)"
                case nil: "alone"
                }
            pieces.append("\(place): \(String(decoding: body.bytes[piece.range], as: UTF8.self))")
        }
        #expect(body.position == body.bytes.count && body.next() == nil)
        return pieces
    }

    @Test func seesWhatABodyIs() async throws {
        #expect(try await cut("\u{FEFF} {\"a\":\n 1}\n") == ["alone:  {\"a\":\n 1}\n"])
        #expect(try await cut("[]") == [])
        #expect(try await cut(" [ ] ", "application/json") == [])
        #expect(
            try await cut(#"[{"a":"]},"} , 2 ,[3,4]]"#) == [#"index 0: {"a":"]},"}"#, "index 1: 2", "index 2: [3,4]"]
        )
        #expect(try await cut("{\"a\":1}\r\n\n{\"a\":2}") == ["line 1: {\"a\":1}\r", "line 3: {\"a\":2}"])
        #expect(try await cut(#"{"a":"\\\"}"} {"#) == [#"line 1: {"a":"\\\"}"} {"#])
        #expect(try await cut("[1]\n[2]", "application/x-ndjson") == ["line 1: [1]", "line 2: [2]"])
        #expect(try await cut("{", "application/x-www-form-urlencoded") == ["alone: {"])
        // A first object that is wrong: what follows says what the body is.
        #expect(try await cut("{\"a\":01}\n\n {\"a\":2}") == ["line 1: {\"a\":01}", "line 3:  {\"a\":2}"])
        #expect(try await cut("{\n\"a\":01,\n\"b\": 2}\n") == ["alone: {\n\"a\":01,\n\"b\": 2}\n"])
        #expect(try await cut(" \n\n [1]\n", "application/x-ndjson") == ["line 3:  [1]"])
    }

    @Test(
        arguments: [
            ("", nil, 400, "empty"), (" \n", "application/x-ndjson", 400, "empty"), ("user=1", nil, 400, "0x75"),
            ("[1, 2", nil, 400, "event 2: it is not valid JSON"), ("[{} {}]", nil, 400, "a comma or a ]"),
            ("[{}, {}", nil, 400, "at or after event 2"), ("[{},]", nil, 400, "a value after the comma"),
            ("[,,,]", nil, 400, "at or after event 0"), ("[{\"a\":1,}]", nil, 400, "a value after the comma"),
            ("[1] 2", nil, 400, "nothing after the value"), ("[\"\u{1}\"]", nil, 400, "control"),
            ("[" + String(repeating: "[", count: 100_000), nil, 400, "at most 64 values in each other"),
            ("{}", "image/png", 415, "image/png"),
            ("{}", "application/json; charset=latin1", 415, "latin1"),
        ] as [(String, String?, Int, String)]
    )
    func saysWhatIsWrongWithABody(text: String, type: String?, status: Int, part: String) async {
        let error = await #expect(throws: EventBody.Failure.self) { try await cut(text, type) }
        #expect(error?.status == status)
        #expect(error?.reason.contains(part) == true, "\(error?.reason ?? "")")
    }

    @Test func aLongArrayIsCheckedWithPauses() async throws {
        let body = try body("[" + Array(repeating: "{\"user\":\"u\"}", count: 10_000).joined(separator: ",") + "]")
        var pauses = 0
        try await body.checkWhole(every: 1_000) { pauses += 1 }
        #expect((100...150).contains(pauses))
    }

    @Test func refusesCompressedBodies() {
        let headers = [(name: "Content-Encoding", value: "gzip")]
        let error = #expect(throws: EventBody.Failure.self) {
            try EventBody(HTTPRequest(method: "POST", path: "/", headers: headers, body: [0x1F, 0x8B]))
        }
        #expect(error?.status == 415)
    }
}
