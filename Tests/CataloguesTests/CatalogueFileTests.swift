import Bytes
import Catalogues
import Foundation
import Messages
import Testing

/// `catalogue.json` as people write it.
@Suite struct CatalogueFileTests {
    private func catalogue(_ text: String) throws -> Catalogue {
        try Catalogue(json: Array(text.utf8), file: "/data/catalogue.json")
    }

    @Test(arguments: [
        #"{"items":[{"id":"1","title":"A","categories":["x"]},{"id":"2","title":"2","categories":[]}]}"#,
        #"{"items":[{"id":1,"title":"A","categories":["x"]},{"id":2,"title":null,"categories":null}]}"#,
        "\u{FEFF}" + #"{"more":{"a":[1]},"items":[{"id":1,"title":"A","categories":["x"],"year":1995},{"id":"2"}]}"#,
        #" [ {"id":"1","title":"A","categories":"x"} , {"id":2,"title":""} ] "#,
    ])
    func numbersNullsAndMissingFieldsAreTaken(text: String) throws {
        #expect(
            try catalogue(text).items == [
                CatalogueItem(id: "1", title: "A", categories: ["x"]),
                CatalogueItem(id: "2", title: "2", categories: []),
            ]
        )
    }

    /// The system's own words, and the file.
    @Test func whatCannotBeWrittenIsNamed() throws {
        let file = FileManager.default.temporaryDirectory.appendingPathComponent("catalogue-\(UUID().uuidString)").path
        try Data().write(to: URL(fileURLWithPath: file))
        defer { try? FileManager.default.removeItem(atPath: file) }
        let path = file + "/catalogue.json"
        let written = #expect(throws: CatalogueError.self) { try catalogue(#"{"items":[{"id":"1"}]}"#).write(to: path) }
        let said = "\(try #require(written))"
        #expect(said.hasPrefix("\(path): cannot be written: ") && !said.contains("\u{201C}") && !said.contains("Error"))
    }

    @Test(arguments: [
        (#"{"items":[{"id":"1"},{"title":"A"}]}"#, "items[1].id", "is missing"),
        (#"{"items":[{"id":1.5}]}"#, "items[0].id", "\"1.5\""), (#"{"items":[{"id":""}]}"#, "items[0].id", "is empty"),
        (#"{"items":[{"id":"1","title":7}]}"#, "items[0].title", "is not a string"),
        (#"{"items":[{"id":"1","categories":[7]}]}"#, "items[0].categories", "\"7\""),
        (#"{"items":[{"id":"1"},{"id":1}]}"#, "items[1].id", "is given to an item before it too"),
        (#"{"items":[3]}"#, "items[0]", "\"3\""), (#"{"items":{}}"#, "items", "is not an array"),
        (#"{"films":[]}"#, "items", "is missing"), ("7", "catalogue.json", "is no catalogue"),
        ("", "catalogue.json", "is no catalogue"),
        (#"{"items":[{"id":"1"}]"#, "catalogue.json", "JSON"), (#"{"items":[{"id":"1"}]} x"#, "catalogue.json", "JSON"),
        (#"{"items":[],"items":[]}"#, "items", "is given twice"),
    ])
    func whatIsWrongIsNamed(text: String, field: String, part: String) {
        do {
            _ = try catalogue(text)
            Issue.record("read \(text)")
        } catch {
            let said = "\(error)"
            #expect(said.contains("catalogue.json: ") && said.contains(field) && said.contains(part), "\(said)")
            #expect(!said.contains("The data is missing"))
        }
    }

    @Test func whatIsWrittenIsReadAgain() throws {
        let path = FileManager.default.temporaryDirectory.appendingPathComponent("catalogue-\(UUID().uuidString)").path
        defer { try? FileManager.default.removeItem(atPath: path) }
        let items = [
            CatalogueItem(id: "1", title: "A / \"B\"", categories: ["x", "y"]),
            CatalogueItem(id: "caf\u{E9}", title: "C", categories: []),
        ]
        try Catalogue(items: items).write(to: path)
        let read = try Catalogue(json: Array(Data(contentsOf: URL(fileURLWithPath: path))), file: path)
        #expect(read == (try Catalogue(items: items)))
    }

    @Test func whatIsLeftOutIsCounted() throws {
        let long = String(repeating: "t", count: Limits.titleByteCount + 1)
        let name = String(repeating: "n", count: Limits.nameByteCount + 1)
        let many = (0..<Limits.categoryCount + 3).map { "\"c\($0)\"" }.joined(separator: ",")
        let items = [
            #"{"id":7,"title":"\#(long)","categories":["\#(name)","a"]}"#,
            #"{"id":"b","title":"B","categories":[\#(many)]}"#,
        ]
        let text = "[" + items.joined(separator: ",") + "]"
        let file = try CatalogueFile(json: Array(text.utf8), file: "catalogue.json")
        #expect(file.catalogue.items.map(\.title) == ["7", "B"] && file.isUntitled == [true, false])
        #expect(file.catalogue.items[0].categories == ["a"])
        #expect(file.catalogue.items[1].categories.count == Limits.categoryCount)
        #expect((file.numericIDs, file.longTitles, file.longCategories, file.manyCategories) == (1, 1, 1, 3))
    }

    @Test func titlesAndCategoriesAreOneLine() throws {
        let text = #"[{"id":"1","title":"A\n  B","categories":["x\ty","x y",["z"],[["w"]]]}]"#
        #expect(throws: CatalogueError.self) { try catalogue(text) }
        let flat = try catalogue(text.replacing(#",[["w"]]"#, with: ""))
        #expect(flat.items == [CatalogueItem(id: "1", title: "A B", categories: ["x y", "z"])])
    }

    @Test(arguments: [
        (CatalogueItem(id: "", title: "A", categories: []), "is empty"),
        (CatalogueItem(id: "1", title: "A", categories: []), "is given to two items"),
    ])
    func itemsThatEventsCouldNotNameAreRefused(item: CatalogueItem, reason: String) {
        let one = CatalogueItem(id: "1", title: "B", categories: [])
        let error = #expect(throws: CatalogueError.self) { try Catalogue(items: [one, item]) }
        #expect(error?.field == "id" && error?.reason.contains(reason) == true)
    }
}
