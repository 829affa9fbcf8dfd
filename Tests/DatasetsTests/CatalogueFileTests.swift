import Bytes
import Catalogues
import Datasets
import Testing

/// `catalogue.json` as part of a data set; what stands in it is checked in `CataloguesTests`.
@Suite struct CatalogueFileTests {
    private static let text =
        "\u{FEFF}" + #"{"more":{"a":[1]},"items":[{"id":1,"title":"A","categories":["x"],"year":1995},{"id":"2"}]}"#

    @Test(arguments: [false, true])
    func aCatalogueMayBeCompressed(isCompressed: Bool) throws {
        let folder = try TemporaryFolder()
        let name = isCompressed ? "catalogue.json.gz" : "catalogue.json"
        if isCompressed { try folder.write(name, gzip: Self.text) } else { try folder.write(name, Self.text) }
        #expect(
            try Catalogue(contentsOf: "\(folder.path)/\(name)").items == [
                CatalogueItem(id: "1", title: "A", categories: ["x"]),
                CatalogueItem(id: "2", title: "2", categories: []),
            ]
        )
    }

    @Test(arguments: [
        (#"{"items":[{"id":"1"},{"title":"A"}]}"#, "items[1].id", "is missing"),
        (#"{"items":[{"id":"1","title":7}]}"#, "items[0].title", "is not a string"),
        (#"{"items":[{"id":"1"}]"#, "catalogue.json", "JSON"),
        ("", "catalogue.json", "is no catalogue"),
    ])
    func whatIsWrongIsNamed(text: String, field: String, part: String) throws {
        let folder = try TemporaryFolder()
        try folder.write("catalogue.json", text)
        let path = folder.path + "/catalogue.json"
        let error = #expect(throws: DatasetError.self) { try Catalogue(contentsOf: path) }
        let said = "\(try #require(error))"
        #expect(said.hasPrefix("\(path): ") && said.contains(field) && said.contains(part), "\(said)")
    }

    @Test func aMissingFileIsNamed() throws {
        let folder = try TemporaryFolder()
        let path = folder.path + "/catalogue.json"
        let error = #expect(throws: DatasetError.self) { try Catalogue(contentsOf: path) }
        #expect(error?.file == path)
    }
}
