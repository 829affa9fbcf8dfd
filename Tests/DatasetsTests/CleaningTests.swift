import Catalogues
import Datasets
import Foundation
import Bytes
import Messages
import TestSupport
import Testing

/// What is wrong with one value costs that value, and is counted.
@Suite struct CleaningTests {
    private func review(_ user: String = "\"U\"", _ item: String = "\"B\"", time: String = "1588687728923") -> String {
        "{\"user_id\": \(user), \"parent_asin\": \(item), \"rating\": 5, \"timestamp\": \(time)}\n"
    }

    private func prepared(
        _ reviews: String,
        metadata: String? = nil,
        _ options: PreparationOptions = PreparationOptions()
    ) throws -> PreparedDataset {
        let folder = try TemporaryFolder()
        try folder.write("R.jsonl", reviews)
        if let metadata { try folder.write("meta_R.jsonl", metadata) }
        return try DatasetFolder(path: folder.path).prepared(options)
    }

    @Test func onlyAnOverlongValueIsLeftOut() throws {
        let (title, name) = (String(repeating: "t", count: 4_097), String(repeating: "n", count: 257))
        let data = try prepared(
            review("\"U\"", "\"B\"") + review("\"U\"", "\"C\"") + review("\"U\"", "\"D\""),
            metadata: "{\"parent_asin\": \"B\", \"title\": \"\(title)\", \"categories\": [\"x\"]}\n"
                + "{\"parent_asin\": \"C\", \"title\": \"Good\", \"categories\": [\"y\", \"\(name)\", \"z\"]}\n"
                + "{\"parent_asin\": \"D\", \"title\": \"Deep\", \"categories\": [\((0..<400).map { "\"c\($0)\"" }.joined(separator: ","))]}\n"
                + "{\"parent_asin\": \"E\", \"title\": \"\(title)\"}\n"
        )
        #expect(data.catalogue.item("B") == CatalogueItem(id: "B", title: "B", categories: ["x"]))
        #expect(data.catalogue.item("C") == CatalogueItem(id: "C", title: "Good", categories: ["y", "z"]))
        #expect(data.catalogue.item("D")?.categories.count == 64)
        let counts = data.origin.counts
        #expect(counts[.longTitles] == 1 && counts[.longCategories] == 1 && counts[.manyCategories] == 400 - 64)
        #expect(data.skippedLines == 0 && data.origin.untitledItems == 1)
        // The longest that are allowed are kept.
        let kept = try prepared(
            review(),
            metadata:
                "{\"parent_asin\": \"B\", \"title\": \"\(title.dropLast())\", \"categories\": [\"\(name.dropLast())\"]}\n"
        )
        #expect(kept.catalogue.items.first?.title.count == 4_096 && kept.catalogue.categories.count == 1)
    }

    @Test func entitiesAreDecodedAndCategoriesThatBecomeEqualAreOne() throws {
        let data = try prepared(
            review("\"U\"", "\"B\"") + review("\"U\"", "\"C\"") + review("\"U\"", "\"D\""),
            metadata: "{\"parent_asin\": \"D\", \"title\": \"D\", \"categories\": [\"z\"]}\n"
                + "{\"parent_asin\": \"B\", \"title\": \"A&nbsp;&amp;&#10;B\", \"categories\": [\"M &amp; N\", \"M & N\", \"x\"]}\n"
                + "{\"parent_asin\": \"C\", \"title\": \"&quot;C&quot;\", \"categories\": [\"M &#38; N\"]}\n"
        )
        #expect(data.catalogue.items.map(\.title) == ["A & B", "\"C\"", "D"])
        #expect(data.catalogue.items.map(\.categories) == [["M & N", "x"], ["M & N"], ["z"]])
        #expect(data.origin.counts[.htmlEntities] == 7)
    }

    @Test func movieLensAndOurOwnTextIsLeftAsItIs() throws {
        let folder = try TemporaryFolder()
        try folder.write("movies.csv", "movieId,title,genres\n1,A &amp;  B,X &amp; Y\n")
        try folder.write("ratings.csv", "userId,movieId,rating,timestamp\nu,1,5,5\n")
        let films = try DatasetFolder(path: folder.path).prepared().catalogue.items
        #expect(films == [CatalogueItem(id: "1", title: "A &amp;  B", categories: ["X &amp; Y"])])
        try folder.write("events.ndjson", #"{"user":"u","item":"1","time":1672628645000}"#)
        try folder.write("catalogue.json", #"{"items":[{"id":"1","title":"A &amp;  B","categories":["X &amp; Y"]}]}"#)
        #expect(try DatasetFolder(path: folder.path).prepared().catalogue.items == films)
    }

    @Test func numbersAreIDsByTheirDigits() throws {
        let long = "123456789012345678901234567890"
        let data = try prepared(
            review("1234567890123456789", long)
                + review("\"1234567890123456789\"", "\"\(long)\"", time: "1588687728924"),
            metadata: "{\"parent_asin\": \(long), \"title\": \"T\"}\n"
        )
        #expect(data.users == ["1234567890123456789"] && data.eventCount == 2)
        #expect(data.catalogue.items.map(\.id) == [ItemID(long)] && data.catalogue.items.map(\.title) == ["T"])
        #expect(data.origin.counts[.numericIDs] == 3)
        for number in [#""A\ud800""#, "1.0", "1e3", "true", "null", "[1]"] {
            do {
                _ = try prepared(review() + review(number))
                Issue.record("took \(number) for an id")
            } catch let error as DatasetError {
                #expect(error.line == 2 && error.field == "user_id" && error.value != nil)
                #expect(error.reason.contains("whose digits are the id") || number.hasPrefix("\""))
            }
        }
    }

    @Test func theUnitOfATimeIsToldByItsSize() throws {
        let times = ["1588687728", "1588687728923", "1588687728923000", "1588687728923000000"]
        let data = try prepared(times.map { review(time: $0) }.joined())
        #expect(
            (0..<4).map { data.entry(user: 0, $0).time }
                == [1_588_687_728_000, 1_588_687_728_923, 1_588_687_728_923, 1_588_687_728_923]
        )
        let counts = data.origin.counts
        #expect(counts[.timesInSeconds] == 1 && counts[.timesInMilliseconds] == 0)
        #expect(counts[.timesInMicroseconds] == 1 && counts[.timesInNanoseconds] == 1)
        // Where seconds are expected, milliseconds are what is odd.
        let folder = try TemporaryFolder()
        let old = #"{"reviewerID": "U", "asin": "B", "overall": 5, "unixReviewTime": TIME}"#
        try folder.write(
            "R.json",
            ["1588687728", "1588687728923"].map { old.replacing("TIME", with: $0) + "\n" }.joined()
        )
        let seconds = try DatasetFolder(path: folder.path).prepared()
        #expect((0..<2).map { seconds.entry(user: 0, $0).time } == [1_588_687_728_000, 1_588_687_728_923])
        #expect(seconds.origin.counts[.timesInMilliseconds] == 1 && seconds.origin.counts[.timesInSeconds] == 0)
    }

    /// However a line is written, what was assumed of it is counted.
    @Test func ourOwnEventsMayHaveOtherUnitsAndNumbers() throws {
        let folder = try TemporaryFolder()
        let lines = [
            #"{"user":"u","item":"1","time":1672628645}"#, #"{"user":"u","item":"1","time":1672628645000}"#,
            #"{"user":"u","item":1,"time":1672628645000000}"#, #"{"user_id":7,"item_id":"1","ts":1672628645000000000}"#,
            #"{"user":"u","item":"1","time":"2023-01-02T03:04:05+00"}"#,
        ]
        try folder.write("events.ndjson", lines.joined(separator: "\n"))
        try folder.write("catalogue.json", #"{"items":[{"id":"1","title":"A","categories":[]}]}"#)
        let data = try DatasetFolder(path: folder.path).prepared()
        #expect(data.users == ["u", "7"] && (0..<4).allSatisfy { data.entry(user: 0, $0).time == 1_672_628_645_000 })
        let counts = data.origin.counts
        #expect(counts[.timesInSeconds] == 1 && counts[.timesInMicroseconds] == 1 && counts[.timesInNanoseconds] == 1)
        #expect(counts[.numericIDs] == 2)
        var reader = try NDJSONEventReader(path: folder.path + "/events.ndjson")
        while let _: Event = try reader.next() {}
        #expect(reader.counts[.timesInSeconds] == 1 && reader.counts[.numericIDs] == 2)
    }

    @Test func eventsThatAreGivenAgainAreCountedOrLeftOut() throws {
        let folder = try TemporaryFolder()
        try folder.write(
            "r.csv",
            "user,item,rating,time\nu,a,5,7\nv,a,5,7\nu,a,4,7\nu,b,5,7\nu,a,5,8\nu,a,5,7\nv,b,1,1\nv,a,5,7\n"
        )
        let source = try DatasetFolder(path: folder.path)
        let all = try source.prepared()
        #expect(all.eventCount == 8 && all.origin.counts[.duplicatesKept] == 3)
        let kept = try source.prepared(PreparationOptions(dropsDuplicates: true))
        #expect(kept.eventCount == 5 && kept.origin.counts[.duplicatesDropped] == 3)
        #expect(kept.origin.counts[.duplicatesKept] == 0)
        #expect(kept.timeline(user: 0, 0..<3).map(\.item) == ["a", "b", "a"])
        // The first in the file counts, whatever its rating is.
        #expect(kept.timeline(user: 0, 0..<3).map(\.rating) == [5, 5, 5])
        // What is left out counts for nothing else either.
        let core = try source.prepared(PreparationOptions(minimumUserEvents: 3, dropsDuplicates: true))
        #expect(core.users == ["u"] && core.origin.removedUsers == 1)
    }

    @Test func dropsWhatASimpleSetWouldDrop() throws {
        var random = Fuzzer(seed: 15).random
        for _ in 0..<20 {
            let rows = (0..<400).map { _ in
                (
                    Int.random(in: 0..<5, using: &random), Int.random(in: 0..<6, using: &random),
                    Int.random(in: 1..<8, using: &random)
                )
            }
            let folder = try TemporaryFolder()
            try folder.write("r.csv", "user,item,time\n" + rows.map { "u\($0),i\($1),\($2)\n" }.joined())
            let data = try DatasetFolder(path: folder.path).prepared(PreparationOptions(dropsDuplicates: true))
            let distinct = Set(rows.map { [$0.0, $0.1, $0.2] })
            #expect(data.eventCount == distinct.count)
            let all = try DatasetFolder(path: folder.path).prepared()
            #expect(all.origin.counts[.duplicatesKept] == rows.count - distinct.count)
        }
    }

    @Test func whatNoJSONReaderTakesIsNamedAtItsFirstLine() throws {
        let lines = ["5.0", "NaN", "Infinity"].map {
            "{\"rating\": \($0), \"title\": NaN, \"parent_asin\": \"B1\", \"user_id\": \"A\", \"timestamp\": 1588687728923}\n"
        }
        let folder = try TemporaryFolder()
        try folder.write("Toy.jsonl", lines.joined())
        for options in [PreparationOptions(), PreparationOptions(skipsBadLines: true)] {
            do {
                _ = try DatasetFolder(path: folder.path).prepared(options)
                Issue.record("read NaN")
            } catch {
                #expect(error.description.contains("Toy.jsonl:1: "), "\(error)")
                #expect(error.description.contains("NaN") && error.description.contains("write null"))
                if options.skipsBadLines { #expect(error.reason.contains("3 bad lines were left out")) }
            }
        }
    }

    /// Published data has both forms, as different systems wrote them.
    @Test func namesThatOnlyLookTheSameAreTwo() throws {
        let (one, two) = ("caf\u{E9}", "cafe\u{301}")
        let folder = try TemporaryFolder()
        try folder.write("s.txt", "\(one)1 \(one)2 b3\n\(two)1 \(two)2 b3\n")
        try folder.write(
            "items.jsonl",
            "{\"id\": \"\(one)2\", \"title\": \"\(one)\", \"categories\": [\"\(one)\", \"\(two)\"]}\n"
                + "{\"id\": \"\(two)2\", \"title\": \"\(two)\", \"categories\": [\"x\"]}\n"
        )
        let data = try DatasetFolder(path: folder.path).prepared()
        #expect(data.users.map { Array($0.utf8) } == [Array("\(one)1".utf8), Array("\(two)1".utf8)])
        #expect(data.catalogue.count == 3 && data.catalogue.categories.count == 3)
        #expect(data.catalogue.item(ItemID(one + "2")).map { Array($0.title.utf8) } == Array(one.utf8))
        #expect(data.catalogue.item(ItemID(two + "2")).map { Array($0.title.utf8) } == Array(two.utf8))
        #expect(data.catalogue.item(ItemID(one + "2"))?.categories.count == 2)
        try data.write(to: folder.path + "/prepared")
        #expect(try PreparedDataset(contentsOf: folder.path + "/prepared").catalogue.count == 3)
    }

    @Test func countsAreAReadableTableAndAreKept() throws {
        let folder = try TemporaryFolder()
        try folder.write(
            "r.csv",
            "user,item,rating,time\n" + String(repeating: "u,a,5,2005-04-02\n", count: 12) + "u,a\n"
        )
        let data = try DatasetFolder(path: folder.path).prepared(PreparationOptions(skipsBadLines: true))
        let lines = data.origin.counts.description.split(separator: "\n")
        #expect(lines.count == 3 && lines[0] == "   1  lines left out: they cannot be read")
        #expect(lines[1].hasPrefix("  11  events of the same user, item and time"))
        try data.write(to: folder.path + "/prepared")
        #expect(try PreparedDataset(contentsOf: folder.path + "/prepared").origin == data.origin)
        // A folder of before has no counts.
        let manifest = folder.path + "/prepared/prepared.json"
        let text = try String(contentsOfFile: manifest, encoding: .utf8)
        let start = try #require(text.range(of: "\"counts\" : {")?.lowerBound)
        let end = try #require(text[start...].range(of: "},")?.upperBound)
        try text.replacingCharacters(in: start..<end, with: "").write(
            toFile: manifest,
            atomically: true,
            encoding: .utf8
        )
        #expect(try PreparedDataset(contentsOf: folder.path + "/prepared").origin.counts == ReadingCounts())
    }
}
