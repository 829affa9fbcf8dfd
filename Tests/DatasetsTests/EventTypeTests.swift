import Catalogues
import Datasets
import Foundation
import Bytes
import Messages
import Testing

/// What users did, as tables say it.
@Suite struct EventTypeTests {
    private func events(_ text: String, _ name: String = "t.csv") throws -> [Event] {
        let folder = try TemporaryFolder()
        try folder.write(name, text)
        var reader = try DatasetFolder(path: "\(folder.path)/\(name)").events()
        var events: [Event] = []
        while let event: Event = try reader.next() { events.append(event) }
        return events
    }

    @Test(arguments: [
        "event_type", "eventType", "Event Type", "type", "action", "action_type", "behavior", "behaviour_type",
        "interaction", "event",
    ])
    func aColumnSaysTheType(name: String) throws {
        let rows = "u,i,1569888002,view\nu,j,1569888003,add to cart\nu,j,1569888004,\"purchase\"\nu,k,1569888005,3\n"
        let events = try events("user_id,item_id,timestamp,\(name)\n\(rows)")
        #expect(events.map(\.type) == ["view", "add to cart", "purchase", "3"])
        #expect(events.map(\.rating) == [nil, nil, nil, nil])
    }

    /// As Retailrocket and RecBole write it.
    @Test func publishedTablesHaveTheirTypes() throws {
        let retail = "timestamp,visitorid,event,itemid,transactionid\n1433221332117,257597,view,355908,\n"
        #expect(try events(retail).map(\.type) == ["view"])
        let recBole =
            "user_id:token\titem_id:token\tbehavior_type:token\ttimestamp:float\nu\ti\tclick\t1609459200.0\n"
        #expect(try events(recBole, "t.inter").map(\.type) == ["click"])
    }

    /// A rating that stands beside a type is kept, and does not make the event one.
    @Test func theColumnDecidesAlsoWhereThereIsARating() throws {
        let events = try events("user,item,rating,event_type,timestamp\nu,i,4,purchase,1569888002\nu,j,5,,1569888003\n")
        #expect(events.map(\.type) == ["purchase", nil] && events.map(\.rating) == [4, 5])
    }

    @Test(arguments: ["", "NULL", "\\N", "None", "nan", "NaN", "NA", "null", "undefined"])
    func whatSaysThatThereIsNoValueIsNoType(value: String) throws {
        #expect(try events("user,item,timestamp,action\nu,i,1569888002,\(value)\n").map(\.type) == [nil])
    }

    @Test func withoutAColumnOnlyRatingsAreRatings() throws {
        #expect(try events("user,item,rating,timestamp\nu,i,4,1569888002\n").map(\.type) == ["rating"])
        #expect(try events("user,item,timestamp\nu,i,1569888002\n").map(\.type) == [nil])
        #expect(try events("user_id:token\titem_id:token\nu\ti\n", "t.inter").map(\.type) == [nil])
    }

    /// `event_type` before `type`, which may be the item's; the other is told as not read.
    @Test func ofTwoColumnsOneIsReadAndTheOtherTold() throws {
        let folder = try TemporaryFolder()
        try folder.write("t.csv", "user,item,type,event_type,timestamp\nu,i,TV,view,1569888002\n")
        var reader = try DatasetFolder(path: folder.path).events()
        #expect(try reader.next()?.type == "view")
        #expect(reader.counts.unknownFields == ["type"])
        #expect(try DatasetFolder(path: folder.path).prepared().origin.counts.unknownFields == ["type"])
        // Of items it is none of what is read, also where there are two.
        try folder.write("items.csv", "item,title,type,Type\ni,A,x,y\n")
        let data = try DatasetFolder(path: folder.path).prepared()
        #expect(data.catalogue.items.map(\.title) == ["A"])
    }

    /// Whoever prepares the data has no use for types, and refuses the same lines.
    @Test(arguments: [
        (Array(String(repeating: "x", count: 257).utf8), "has 257 bytes"), ([0x43, 0xE9], "is not UTF-8"),
        ([0x43, 0, 0x43], "has a NUL character"),
    ])
    func aTypeThatNoEventMayHaveIsNamed(type: [UInt8], reason: String) throws {
        let folder = try TemporaryFolder()
        let good = "u,i,1569888002,"
        try folder.write(
            "t.csv",
            bytes: Array("user,item,timestamp,event_type\n\(good)view\n\(good)".utf8) + type + Array("\n".utf8)
        )
        let source = try DatasetFolder(path: folder.path)
        var reader = try source.events()
        _ = try reader.next() as Event?
        let error = try #require(throws: DatasetError.self) { try reader.next() as Event? }
        #expect(error.line == 3 && error.field == "event_type" && error.reason.contains(reason))
        #expect(throws: error) { try source.prepared() }
        #expect(try source.prepared(PreparationOptions(skipsBadLines: true)).skippedLines == 1)
        var lenient = try source.events(skipsBadLines: true)
        var count = 0
        while try lenient.next() as Event? != nil { count += 1 }
        #expect(count == 1 && lenient.skippedLines == 1)
    }

    @Test func rowsHaveTypesToo() throws {
        let folder = try TemporaryFolder()
        try folder.write(
            "events.ndjson",
            #"{"user":"u","item":"a","time":1700000000000,"type":"view"}"# + "\n"
                + #"{"user":"u","item":"b","time":"2020-01-01T00:00:00Z","eventType":"like"}"# + "\n"
                + #"{"user":"u","item":"b","time":1700000000000}"# + "\n"
        )
        var reader = try NDJSONEventReader(path: folder.path + "/events.ndjson")
        var (row, types) = (EventRow(), [String]())
        while try reader.next(&row) { types.append(String(decoding: row.type, as: UTF8.self)) }
        #expect(types == ["view", "like", ""])
    }
}
