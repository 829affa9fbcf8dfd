import Datasets
import Foundation
import Bytes
import Messages
import Testing

@Suite struct NDJSONTests {
    /// As at the doors: what a producer means by a field that no event has is not lost without a word.
    @Test func fieldsThatAreNotKnownAreTold() throws {
        let folder = try TemporaryFolder()
        try folder.write("catalogue.json", #"{"items":[{"id":"a","title":"A"},{"id":"b","title":"B"}]}"#)
        try folder.write(
            "events.ndjson",
            #"{"user":"u","item":"a","time":1700000000000,"price":4,"Rating":5}"# + "\n"
                + #"{"user":"u","item":"b","time":1700000000001,"price":4,"user\u001bname":"x"}"# + "\n"
        )
        let data = try DatasetFolder(path: folder.path).prepared()
        #expect(data.eventCount == 2)
        #expect(data.origin.counts.unknownFields == ["Rating", "price", "user\u{1B}name"])
        let text = data.origin.counts.description
        #expect(
            text.contains("3  fields passed over that no event has: Rating, price, user") && !text.contains("\u{1B}")
        )
        try data.write(to: folder.path + "/prepared")
        #expect(try PreparedDataset(contentsOf: folder.path + "/prepared").origin == data.origin)
    }

    @Test func readsEventsAndGoesOnAfterABadLine() throws {
        let folder = try TemporaryFolder()
        try folder.write(
            "events.ndjson",
            """
            {"user":"u","item":"a","time":1700000000000,"rating":4.5,"categories":["X"],"event_id":"1"}

            {"user":"u","item":"b","time":"2020-01-01T00:00:00Z"}
            {"user":"u","item":7.5,"time":1700000000000}
            {"user":"u","item":"c","time":1700000003000}
            """
        )
        let path = folder.path + "/events.ndjson"
        var reader = try NDJSONEventReader(path: path)
        #expect(
            try reader.next() as Event?
                == Event(id: "1", user: "u", item: "a", rating: 4.5, categories: ["X"], time: 1_700_000_000_000)
        )
        #expect(try reader.next()?.time == 1_577_836_800_000)
        do {
            _ = try reader.next()
            Issue.record("read an item that is a fraction")
        } catch {
            #expect(error.file == path && error.line == 4 && error.field == "item")
        }
        #expect(try reader.next()?.item == "c")
        var lenient = try NDJSONEventReader(path: path, skipsBadLines: true)
        var count = 0
        try lenient.forEach { _ in count += 1 }
        #expect(count == 3 && lenient.skippedLines == 1)
    }

    /// Events that are written plainly are scanned, others read as records are; nobody may see which.
    @Test(arguments: [
        #"{"user":"u","item":"a","time":1700000000000}"#,
        #"{"time":1700000000000,"item":"a","user":"u","rating":4.5,"text":"t"}"#,
        #"{"user":"u","item":"a","time":1700000000000,"rating":null,"type":"view","event_id":"1"}"#,
        #"{"user":"\u0041","item":"é","time":1700000000000,"categories":["X"],"more":{"a":[1]}}"#,
        #"{"user":"u","item":"a","time":"2020-01-01T00:00:00Z"}"#, #"{"user":"u","user":"v","item":"a","time":1}"#,
        #"{"user":"","item":"a","time":1700000000000}"#, #"{"user":"u","item":"a","time":-1}"#,
        #"{"user":"u","item":"a"}"#,
        #"{"user":"u","item":"a","time":1.5}"#, #"{"user":"u","item":"a","time":1700000000000,"rating":"x"}"#,
        #"{"user":"u","item":"a","time":1700000000000,"rating":1e99}"#,
        #"{"user":"u","item":"a","time":1700000000000,"event_id":""}"#,
        #"{"user":"u","item":"a","time":1700000000000"#, #"{"user":"u","item":"a","time":01700000000000}"#, "[]",
        #"{"user":"u\u0000","item":"a","time":1700000000000}"#, #"{"user":7,"item":"a","time":1700000000}"#,
        #"{"user_id":"u","item_id":"a","timestamp":1700000000000000}"#, #"{"user":"u","item":"a","time":1000}"#,
    ])
    func rowsAndEventsAreTheSame(line: String) throws {
        let folder = try TemporaryFolder()
        try folder.write("events.ndjson", line)
        let path = folder.path + "/events.ndjson"
        var (rows, events) = (try NDJSONEventReader(path: path), try NDJSONEventReader(path: path))
        var row = EventRow()
        let (isRow, rowError) = outcome { try rows.next(&row) }
        let (event, eventError) = outcome { try events.next() as Event? }
        #expect(rowError == eventError && isRow == (event == nil ? nil : true))
        guard let event else { return }
        #expect(row.user == Array(event.user.utf8) && row.item == Array(event.item.utf8) && row.time == event.time)
        #expect((row.rating.isNaN ? nil : row.rating) == event.rating)
        #expect(row.text == Array((event.text ?? "").utf8))
    }

    private func outcome<Value>(_ body: () throws -> Value?) -> (Value?, DatasetError?) {
        do {
            return (try body(), nil)
        } catch {
            return (nil, error as? DatasetError)
        }
    }

    @Test func bothFormsOfASyntheticWorldAreTheSameData() throws {
        let folder = try TemporaryFolder()
        let world = try SyntheticWorld(.init(filmCount: 60, viewerCount: 25, minimumEvents: 4, maximumEvents: 12))
        try world.write(to: folder.path)
        let own = try DatasetFolder(path: folder.path).prepared()
        let movieLens = try DatasetFolder(path: folder.path, format: .movieLens).prepared()
        #expect(own == movieLens)
        #expect(own.users.count == 25)
        let user = try #require(own.users.firstIndex(of: "u7"))
        let events = world.viewer(6).events
        // A data set keeps no ids of events.
        var timeline = events.map { TimelineEvent($0) }
        for index in timeline.indices { timeline[index].idDigest = nil }
        #expect(own.timeline(user: user, 0..<events.count) == timeline)
        let truth = try String(contentsOfFile: folder.path + "/truth.ndjson", encoding: .utf8)
        #expect(truth.split(separator: "\n").count == 25)
        let again = try SyntheticWorld(folder: folder.path)
        #expect(again.catalogue == world.catalogue && again.viewer(3).events == world.viewer(3).events)
        #expect(throws: DatasetError.self) { try SyntheticWorld(folder: folder.path + "/none") }
    }

    @Test func aFolderOfEventsWithoutCatalogueSaysWhatIsMissing() throws {
        let folder = try TemporaryFolder()
        try folder.write("events.ndjson", "")
        do {
            _ = try DatasetFolder(path: folder.path).prepared()
            Issue.record("opened a folder without catalogue")
        } catch {
            #expect(error.description.contains("catalogue.json"))
        }
    }
}
