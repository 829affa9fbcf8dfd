import Foundation
import Bytes
import Testing

@Suite struct FailureTextTests {
    private struct Own: Error, CustomStringConvertible { let description = "our own words" }

    private func error(_ body: () throws -> Void) -> any Error {
        do {
            try body()
            return Own()
        } catch {
            return error
        }
    }

    @Test func ownErrorsSpeakForThemselves() {
        #expect(FailureText.sentence(Own()) == "our own words")
        #expect(FailureText.reason(Own()) == "our own words")
    }

    @Test func errorsOfFilesNamePathAndReason() throws {
        let path = "/nowhere/\(UUID().uuidString)"
        let errors = [
            error { _ = try Data(contentsOf: URL(filePath: path)) },
            error { _ = try String(contentsOfFile: path, encoding: .utf8) },
            error { try Data().write(to: URL(filePath: path)) },
            error { try FileManager.default.removeItem(atPath: path) },
            error { try FileManager.default.moveItem(atPath: path, toPath: path + "x") },
            error { _ = try FileHandle(forReadingFrom: URL(filePath: path)) },
        ]
        for error in errors {
            let text = FailureText.sentence(error)
            #expect(!text.contains("Domain") && !text.contains("Code="), "\(text)")
            #expect(text.contains("/nowhere") && text.localizedCaseInsensitiveContains("no such file"), "\(text)")
        }
    }

    @Test func errorsOfDecodingNameTheField() {
        struct Inner: Decodable { var count: Int }
        struct Outer: Decodable { var list: [Inner] }
        let error = error { _ = try JSONDecoder().decode(Outer.self, from: Data(#"{"list":[{"count":"x"}]}"#.utf8)) }
        let text = FailureText.sentence(error)
        #expect(text.contains("list") && text.contains("count") && !text.contains("DecodingError"), "\(text)")
        let broken = self.error { _ = try JSONDecoder().decode(Outer.self, from: Data("{".utf8)) }
        #expect(!FailureText.sentence(broken).contains("Domain"), "\(FailureText.sentence(broken))")
    }
}
