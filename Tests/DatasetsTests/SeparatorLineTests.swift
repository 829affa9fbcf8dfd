import Catalogues
import Datasets
import Foundation
import Bytes
import Messages
import Testing

/// `sep=;`: the line before the head that Excel writes, and needs.
@Suite struct SeparatorLineTests {
    private func data(_ text: String, _ format: DatasetFormat? = nil) throws -> PreparedDataset {
        let folder = try TemporaryFolder()
        try folder.write("t.csv", text)
        return try DatasetFolder(path: folder.path + "/t.csv", format: format).prepared()
    }

    @Test(arguments: [
        "sep=;\r\nuser;item;rating;timestamp\r\nu;i;4,5;1112486027\r\n",
        "\u{FEFF}SEP=,\nuser,item,rating,timestamp\nu,i,4.5,1112486027\n",
        "\"sep=;\"\n\"user\";\"item\";\"rating\";\"timestamp\"\n\"u\";\"i\";\"4,5\";\"1112486027\"\n",
        "sep=\t\n\nuser\titem\trating\ttimestamp\nu\ti\t4.5\t1112486027\n",
        "\n\nsep=|\nuser|item|rating|timestamp\nu|i|4.5|1112486027\n",
    ])
    func isNoEventAndSaysWhatIsBetweenFields(text: String) throws {
        for format in [nil, DatasetFormat.csv] {
            let data = try data(text, format)
            #expect(data.users == ["u"] && data.eventCount == 1 && data.skippedLines == 0)
            #expect(data.timeline(user: 0, 0..<1) == [TimelineEvent(item: "i", rating: 4.5, time: 1_112_486_027_000)])
        }
    }

    /// It is believed: another mark in the head is part of a name.
    @Test func isBelieved() throws {
        let data = try data("sep=,\nuser,item,timestamp,a;b;c\nu,i,1112486027,x;y;z\n")
        #expect(data.eventCount == 1 && data.origin.counts.unknownFields == ["a;b;c"])
    }

    @Test func readingGoesOnBehindIt() throws {
        let folder = try TemporaryFolder()
        try folder.write("t.csv", "sep=;\nuser;item;timestamp\nu;a;1112486027\nu;b;1112486028\n")
        let source = try DatasetFolder(path: folder.path)
        var first = try source.events()
        #expect(try first.next()?.item == "a" && first.line == 3)
        var second = try source.events(from: first.position)
        #expect(try second.next()?.item == "b" && second.position.line == 4)
    }

    /// Films and their ratings, and Amazon's ratings, which have no head.
    @Test func goesBeforeAnyTable() throws {
        let folder = try TemporaryFolder()
        try folder.write("ratings.csv", "sep=;\nuserId;movieId;rating;timestamp\n1;10;3,5;1112486027\n")
        try folder.write("movies.csv", "sep=;\nmovieId;title;genres\n10;\"A; B\";Drama|War\n")
        let films = try DatasetFolder(path: folder.path)
        #expect(films.format == .movieLens)
        let items = try films.prepared().catalogue.items
        #expect(items == [CatalogueItem(id: "10", title: "A; B", categories: ["Drama", "War"])])
        let amazon = try data("sep=,\nA2XXXXXXXXXXXX,0205616461,5.0,1369699200\n")
        #expect(amazon.users == ["A2XXXXXXXXXXXX"] && amazon.eventCount == 1 && amazon.skippedLines == 0)
    }

    @Test func aMarkThatIsNoneIsNamed() throws {
        let error = #expect(throws: DatasetError.self) { try data("sep=:\nuser:item\nu:i\n") }
        #expect(error?.line == 1 && error?.value == "sep=:")
        #expect(error?.reason.contains("save the table with commas, semicolons, tabs or bars") == true)
        let empty = #expect(throws: DatasetError.self) { try data("sep=;\n") }
        #expect(empty?.file?.hasSuffix("t.csv") == true)
    }
}
