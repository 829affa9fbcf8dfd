import HTTPServer
import Testing

@Suite struct HTTPContentTypeTests {
    @Test(
        arguments: [
            ("application/json", "application/json", nil), ("Text / JSON ;x=1", "text/json", nil),
            ("text/plain; Charset=\"UTF-8\"; x=1", "text/plain", "utf-8"), ("a/b;charset=latin1 x", "a/b", "latin1"),
            ("", "", nil), (";charset=", "", ""),
        ] as [(String, String, String?)]
    )
    func isTakenApart(header: String, type: String, charset: String?) {
        let contentType = HTTPContentType(header)
        #expect(contentType.type == type && contentType.charset == charset)
        let request = HTTPRequest(method: "POST", path: "/", headers: [("content-TYPE", header)])
        #expect(request.contentType == contentType)
    }

    @Test func nothingIsSaid() {
        #expect(HTTPRequest(method: "POST", path: "/").contentType == nil)
    }
}
