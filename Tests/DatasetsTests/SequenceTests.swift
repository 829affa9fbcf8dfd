import Catalogues
@testable import Datasets
import Foundation
import Bytes
import Messages
import Testing

@Suite struct SequenceTests {
    /// Events without a time have one that is an event's, however many there are: no line is taken for seconds.
    @Test func millionsOfEventsWithoutATimeMayBeSent() throws {
        let folder = try TemporaryFolder()
        try folder.write("s.txt", "u" + String(repeating: " i1 i2", count: 150_005) + "\n")
        var reader = try DatasetFolder(path: folder.path + "/s.txt").events()
        var (count, last) = (0, Int64.min)
        while let event: Event = try reader.next() {
            #expect(event.time > last)
            (count, last) = (count + 1, event.time)
        }
        #expect(count == 300_010)
        for place in [1, 299_999, 300_000, 9_999_999, 10_000_000, Int64.max] {
            try Event(user: "u", item: "i", time: TimeReader.invented(place)).validate()
        }
    }

    private let items = """
        {"id": 1, "title": "Red Lamp", "categories": [["Home", "Light"]]}
        {"id": "2", "title": " Blue\\nLamp ", "categories": [["Home", "Light"], ["Home", "Gift"]]}
        {"id": 3, "title": null, "categories": ["Home"]}
        {"id": 9, "title": "Never used", "categories": [["Garden"]]}
        """

    @Test func readsUsersWithTheirItemsInOrder() throws {
        let folder = try TemporaryFolder()
        try folder.write("sequential_data.txt", "7 3 1 2\r\n8\t1 \n\n9 2 1")
        try folder.write("items.jsonl", items)
        let data = try DatasetFolder(path: folder.path).prepared()
        #expect(data.users == ["7", "8", "9"] && data.eventCount == 6)
        #expect(data.timeline(user: 0, 0..<3).map(\.item) == ["3", "1", "2"])
        #expect(data.timeline(user: 2, 0..<2).map(\.item) == ["2", "1"])
        #expect(data.entry(user: 0, 0).rating == nil)
        // "Home" is a category of all, and says nothing; an item without a title is called by its id.
        #expect(data.catalogue.item("1") == CatalogueItem(id: "1", title: "Red Lamp", categories: ["Light"]))
        #expect(data.catalogue.item("2") == CatalogueItem(id: "2", title: "Blue Lamp", categories: ["Light", "Gift"]))
        #expect(data.catalogue.item("3") == CatalogueItem(id: "3", title: "3", categories: []))
        #expect(data.catalogue.count == 3 && data.origin.untitledItems == 1 && data.origin.format == "sequences")
    }

    @Test func pairsOfOneUserMayStandInManyLines() throws {
        let folder = try TemporaryFolder()
        try folder.write("pairs.txt", "a x\nb y\na z\nb x\n")
        let source = try DatasetFolder(path: folder.path)
        #expect(source.metadataPath == nil)
        let data = try source.prepared()
        #expect(data.timeline(user: 0, 0..<2).map(\.item) == ["x", "z"])
        #expect(data.timeline(user: 1, 0..<2).map(\.item) == ["y", "x"])
        #expect(data.catalogue.items.map(\.title) == ["x", "y", "z"] && data.origin.untitledItems == 3)
    }

    @Test func aUserWithoutItemsIsNamedOrSkipped() throws {
        let folder = try TemporaryFolder()
        try folder.write("s.txt", "1 2 3\n4\n5 6\n")
        let source = try DatasetFolder(path: folder.path)
        do {
            _ = try source.prepared()
            Issue.record("read a user without items")
        } catch {
            #expect(error.description.contains("s.txt:2: \"4\" has no item"))
        }
        let data = try source.prepared(PreparationOptions(skipsBadLines: true))
        #expect(data.users == ["1", "5"] && data.skippedLines == 1)
    }

    /// Reading can stop and go on within a line.
    @Test(arguments: ["", ".gz"])
    func readingGoesOnFromAnyPosition(suffix: String) throws {
        let folder = try TemporaryFolder()
        let text = "u 1 2 3\nv\nw 4\n x 5 6 \n"
        if suffix.isEmpty { try folder.write("s.txt", text) } else { try folder.write("s.txt.gz", gzip: text) }
        let source = try DatasetFolder(path: folder.path + "/s.txt" + suffix, format: .sequences)
        func rest(_ position: ReadPosition) throws -> ([Event], [ReadPosition]) {
            var reader = try source.events(from: position, skipsBadLines: true)
            var events: [Event] = []
            var positions: [ReadPosition] = []
            while let event: Event = try reader.next() {
                events.append(event)
                positions.append(reader.position)
            }
            return (events, positions)
        }
        let (all, positions) = try rest(.start)
        #expect(all.map(\.item) == ["1", "2", "3", "4", "5", "6"])
        #expect(all.map(\.user) == ["u", "u", "u", "w", "x", "x"])
        let times = all.map(\.time)
        #expect(zip(times, times.dropFirst()).allSatisfy { $1 - $0 == 1_000 })
        for (index, position) in positions.enumerated() {
            let kept = try JSONDecoder().decode(ReadPosition.self, from: JSONEncoder().encode(position))
            #expect(try rest(kept).0 == Array(all[(index + 1)...]))
        }
    }

    @Test func aPositionKeptBeforeHasTwoNumbers() throws {
        let kept = Data(#"{"line":3,"byteOffset":40}"#.utf8)
        let position = try JSONDecoder().decode(ReadPosition.self, from: kept)
        #expect(position == ReadPosition(line: 3, byteOffset: 40))
    }
}
