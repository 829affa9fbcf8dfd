import Datasets
import Foundation
import Bytes
import Testing

/// `catalogue.json` as people write it.
@Suite struct CatalogueFileTests {
    private func catalogue(_ text: String) throws -> Catalogue {
        let folder = try TemporaryFolder()
        try folder.write("catalogue.json", text)
        return try Catalogue(contentsOf: folder.path + "/catalogue.json")
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
        let folder = try TemporaryFolder()
        try folder.write("file", "")
        let path = folder.path + "/file/catalogue.json"
        let written = #expect(throws: DatasetError.self) { try catalogue(#"{"items":[{"id":"1"}]}"#).write(to: path) }
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
}
