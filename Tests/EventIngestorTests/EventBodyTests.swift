import HTTPServer
import Testing

@testable import EventIngestor

@Suite struct EventBodyTests {
    private func cut(_ text: String, _ type: String? = nil) throws -> [String] {
        let headers = type.map { [(name: "Content-Type", value: $0)] } ?? []
        let body = try EventBody(HTTPRequest(method: "POST", path: "/", headers: headers, body: Array(text.utf8)))
        return body.pieces.map { piece in
            let place =
                switch piece.place {
                case .line(let line): "line \(line)"
                case .index(let index): "index \(index)"
                case nil: "alone"
                }
            return "\(place): \(String(decoding: piece.bytes, as: UTF8.self))"
        }
    }

    @Test func seesWhatABodyIs() throws {
        #expect(try cut("\u{FEFF} {\"a\":\n 1}\n") == ["alone:  {\"a\":\n 1}\n"])
        #expect(try cut("[]") == [] && cut(" [ ] ", "application/json") == [])
        #expect(try cut(#"[{"a":"]},"} , 2 ,[3,4]]"#) == [#"index 0: {"a":"]},"}"#, "index 1: 2 ", "index 2: [3,4]"])
        #expect(try cut("{\"a\":1}\r\n\n{\"a\":2}") == ["line 1: {\"a\":1}\r", "line 3: {\"a\":2}"])
        #expect(try cut(#"{"a":"\\\"}"} {"#) == [#"line 1: {"a":"\\\"}"} {"#])
        #expect(try cut("[1]\n[2]", "application/x-ndjson") == ["line 1: [1]", "line 2: [2]"])
        #expect(try cut("{", "application/x-www-form-urlencoded") == ["alone: {"])
    }

    @Test(
        arguments: [
            ("", nil, 400, "empty"), (" \n", "application/x-ndjson", 400, "empty"), ("user=1", nil, 400, "0x75"),
            ("[1, 2", nil, 400, "event 1 does not end"), ("[{} {}]", nil, 400, "after"),
            ("[{}, {}", nil, 400, "not closed"),
            ("[1] 2", nil, 400, "after the array"), ("{}", "image/png", 415, "image/png"),
            ("{}", "application/json; charset=latin1", 415, "latin1"),
        ] as [(String, String?, Int, String)]
    )
    func saysWhatIsWrongWithABody(text: String, type: String?, status: Int, part: String) {
        let error = #expect(throws: EventBody.Failure.self) { try cut(text, type) }
        #expect(error?.status == status)
        #expect(error?.reason.contains(part) == true, "\(error?.reason ?? "")")
    }

    @Test func refusesCompressedBodies() {
        let headers = [(name: "Content-Encoding", value: "gzip")]
        let error = #expect(throws: EventBody.Failure.self) {
            try EventBody(HTTPRequest(method: "POST", path: "/", headers: headers, body: [0x1F, 0x8B]))
        }
        #expect(error?.status == 415)
    }
}
