import Catalogues
import Datasets
import Foundation
import Bytes
import Messages
import Testing

@Suite struct DatasetFolderTests {
    private func message(_ path: String, _ format: DatasetFormat? = nil) -> String {
        do {
            _ = try DatasetFolder(path: path, format: format).prepared()
            return ""
        } catch {
            return error.description
        }
    }

    private let review = #"{"user_id": "A", "parent_asin": "B", "rating": 5, "timestamp": 1588687728923}"#

    @Test func aFolderWithoutDataSaysWhatWasLookedFor() throws {
        let folder = try TemporaryFolder()
        for word in ["ratings.dat", "reviewerID", "gmap_id", "user item item", "events.ndjson", ".gz"] {
            #expect(message(folder.path).contains(word))
        }
        try folder.write("readme.txt", "not data at all")
        try folder.write("other.json", "{\"a\": 1}")
        #expect(message(folder.path).contains("holds no data set that can be read"))
        #expect(message(folder.path, .amazon).contains("holds no data set of the format amazon"))
        #expect(message(folder.path + "/none").contains("does not exist"))
        #expect(message(folder.path + "/other.json").contains("other.json:1"))
        #expect(message(folder.path + "/other.json").contains("none of the fields that tell users and items"))
    }

    @Test(arguments: [DatasetFormat.amazon, .googleLocal], ["{\"user_id\": \"A\", \"par", "nonsense"])
    func aDamagedFirstLineIsNamedOrSkippedAndHidesNoFormat(format: DatasetFormat, damage: String) throws {
        let folder = try TemporaryFolder()
        let place = #"{"user_id": "A", "gmap_id": "B", "rating": 5, "time": 1588687728923}"#
        let whole = format == .amazon ? review : place
        try folder.write("R.json", "\n\(damage)\n\(whole)\n")
        let file = folder.path + "/R.json"
        for path in [file, folder.path] {
            for asked in [nil, format] {
                let source = try DatasetFolder(path: path, format: asked)
                #expect(source.format == format)
                #expect(message(path, asked).contains("R.json:2"), "\(message(path, asked))")
                let kept = try source.prepared(PreparationOptions(skipsBadLines: true))
                #expect(kept.eventCount == 1 && kept.skippedLines == 1)
            }
        }
        // Without a right line the format that was asked for still decides.
        try folder.write("R.json", "\(damage)\n")
        #expect(message(file, format).contains("R.json:1"), "\(message(file, format))")
        #expect(message(file).contains("holds no data set that can be read"))
    }

    @Test func aLineOfTheFormatThatIsAskedForDecidesBeforeOneOfAnother() throws {
        let folder = try TemporaryFolder()
        // Without its user the first line looks like one of metadata.
        try folder.write("R.jsonl", #"{"parent_asin": "B", "rating": 5, "timestamp": 1588687728923}"# + "\n\(review)\n")
        let file = folder.path + "/R.jsonl"
        #expect(message(file, .amazon).contains("R.jsonl:1"), "\(message(file, .amazon))")
        let kept = try DatasetFolder(path: file, format: .amazon).prepared(PreparationOptions(skipsBadLines: true))
        #expect(kept.eventCount == 1 && kept.skippedLines == 1)
        #expect(message(file, .googleLocal).contains("holds no data set of the format google-local"))
    }

    @Test func textBesideReviewsIsNotTakenForSequencesByALaterLine() throws {
        let folder = try TemporaryFolder()
        try folder.write("R.jsonl", review)
        try folder.write("LICENSE.txt", "License\n\nAll that is here may be used.\n")
        #expect(try DatasetFolder(path: folder.path).format == .amazon)
    }

    @Test func severalFilesOfEventsAreNamed() throws {
        let folder = try TemporaryFolder()
        try folder.write("One.jsonl", review)
        try folder.write("Two.jsonl", review)
        #expect(message(folder.path).contains("One.jsonl (amazon), Two.jsonl (amazon)"))
        #expect(message(folder.path + "/One.jsonl").isEmpty)
        try folder.write("meta_One.jsonl", #"{"parent_asin": "B", "title": "First"}"#)
        try folder.write("meta_Two.jsonl", #"{"parent_asin": "B", "title": "Second"}"#)
        let two = try DatasetFolder(path: folder.path + "/Two.jsonl").prepared()
        #expect(two.catalogue.items.map(\.title) == ["Second"])
        try folder.write("Three.jsonl", review)
        #expect(message(folder.path + "/Three.jsonl").contains("--metadata"))
    }

    @Test(arguments: [false, true])
    func movieLensMayBeCompressedAndLackItsFilms(gzip: Bool) throws {
        let folder = try TemporaryFolder()
        let (ratings, movies) = ("1::5::3::10\n2::5::4::20\n", "5::Café (1990)::Drama\n")
        if gzip {
            try folder.write("ratings.dat.gz", gzip: ratings)
        } else {
            try folder.write("ratings.dat", ratings)
        }
        let bare = try DatasetFolder(path: folder.path)
        #expect(bare.format == .movieLens && bare.metadataPath == nil)
        let untitled = try bare.prepared()
        #expect(untitled.catalogue.items.map(\.title) == ["5"] && untitled.origin.untitledItems == 1)
        // The 10M set is UTF-8, though it is of the older form.
        if gzip { try folder.write("movies.dat.gz", gzip: movies) } else { try folder.write("movies.dat", movies) }
        let data = try DatasetFolder(path: folder.path).prepared()
        #expect(data.catalogue.items == [CatalogueItem(id: "5", title: "Café (1990)", categories: ["Drama"])])
        var reader = try MovieLensFolder(path: folder.path).events()
        #expect(try reader.next()?.user == "1")
    }

    @Test(arguments: ["ratings.csv", "events.ndjson", "R.jsonl"])
    func aDataSetWithoutEventsIsAnError(name: String) throws {
        let folder = try TemporaryFolder()
        try folder.write("movies.csv", "movieId,title,genres\n1,A,B\n")
        try folder.write("catalogue.json", #"{"items": [{"id": "1", "title": "A", "categories": []}]}"#)
        try folder.write(name, name == "ratings.csv" ? "userId,movieId,rating,timestamp\n" : "\n")
        #expect(message(folder.path + "/" + name, name == "R.jsonl" ? .ndjson : nil).contains("holds no event"))
    }

    @Test func eventsWithATrailingCarriageReturnAndAByteOrderMarkAreRead() throws {
        let folder = try TemporaryFolder()
        try folder.write("R.jsonl", "\u{FEFF}\(review)\r\n\r\n\(review)\r\n")
        #expect(try DatasetFolder(path: folder.path).prepared().eventCount == 2)
    }

    @Test func rareUsersAndItemsAreLeftOutUntilAllThatAreLeftHaveEnough() throws {
        let folder = try TemporaryFolder()
        // Without c, who has one event, x has one event fewer, then b, and so on: a chain that ends with d and e.
        try folder.write("s.txt", "a y z w\nb x y\nc x\nd z w\ne w z\n")
        let source = try DatasetFolder(path: folder.path)
        let all = try source.prepared()
        #expect(all.users.count == 5 && all.origin.removedEvents == 0)
        let core = try source.prepared(PreparationOptions(minimumUserEvents: 2, minimumItemEvents: 2))
        #expect(core.users == ["a", "d", "e"])
        #expect(core.catalogue.items.map(\.id) == ["z", "w"])
        #expect(core.timeline(user: 0, 0..<2).map(\.item) == ["z", "w"])
        #expect(core.origin.removedUsers == 2 && core.origin.removedItems == 2 && core.origin.removedEvents == 4)
        #expect(core.origin.eventsRead == 10)
        #expect(try source.prepared(PreparationOptions(minimumUserEvents: 2)).users == ["a", "b", "d", "e"])
        do {
            _ = try source.prepared(PreparationOptions(minimumUserEvents: 4))
            Issue.record("something is left")
        } catch {
            #expect(error.description.contains("--minimum-user-events"))
        }
    }

    @Test func usersWithOneEventTrainAndAreNotEvaluated() throws {
        let folder = try TemporaryFolder()
        try folder.write("s.txt", "a 1\nb 1 2\nc 1 2 3\n")
        let data = try DatasetFolder(path: folder.path).prepared()
        #expect(data.users == ["a", "b", "c"] && data.evaluatedUsers == [2])
    }

    @Test func progressEndsWithTheWholeFile() throws {
        let folder = try TemporaryFolder()
        try folder.write("R.jsonl", "\(review)\n\(review)\n")
        var last: PreparationProgress?
        _ = try DatasetFolder(path: folder.path).prepared { last = $0 }
        let progress = try #require(last)
        #expect(progress.events == 2 && progress.bytesRead == progress.byteCount && progress.byteCount > 0)
        #expect(progress.stage == "reading R.jsonl")
    }

    @Test func whatWasLeftOutIsWrittenAndRead() throws {
        let folder = try TemporaryFolder()
        try folder.write("s.txt", "a 1 2\nb 1 3\nc\n")
        let options = PreparationOptions(skipsBadLines: true, minimumItemEvents: 2)
        let data = try DatasetFolder(path: folder.path).prepared(options)
        try data.write(to: folder.path + "/prepared")
        let again = try PreparedDataset(contentsOf: folder.path + "/prepared")
        #expect(again == data && again.origin == data.origin)
        #expect(again.origin.minimumItemEvents == 2 && again.skippedLines == 1)
    }
}
