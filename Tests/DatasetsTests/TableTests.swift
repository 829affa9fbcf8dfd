import Catalogues
import Datasets
import Foundation
import Bytes
import Messages
import Testing

/// Tables as people export, publish and rename them.
@Suite struct TableTests {
    private func message(_ path: String, _ format: DatasetFormat? = nil) -> String {
        do {
            _ = try DatasetFolder(path: path, format: format).prepared()
            return ""
        } catch {
            return error.description
        }
    }

    /// One event, by whichever table.
    private func onlyEvent(_ name: String, _ text: String, _ format: DatasetFormat? = nil) throws -> TimelineEvent? {
        let folder = try TemporaryFolder()
        try folder.write(name, text)
        let data = try DatasetFolder(path: folder.path + "/" + name, format: format).prepared()
        #expect(data.users == ["u"] && data.eventCount == 1)
        return data.timeline(user: 0, 0..<1).first
    }

    @Test(arguments: [
        "userId,movieId,rating,timestamp\nu,i,4.5,1112486027\n",
        "\"userId\",\"movieId\",\"rating\",\"timestamp\"\r\n\"u\",\"i\",\"4.5\",\"2005-04-02 23:53:47\"\r\n\r\n",
        "\u{FEFF}timestamp;rating;user_id;item_id\n1112486027;4,5;u;i\n",
        "USER\tITEM\tTime\tScore\nu\ti\t1112486027000\t4.5",
        "user_id,parent_asin,rating,timestamp\nu,i,4.5,1112486027000\n",
        "row,User-ID,ISBN,Book-Rating,date\n1,u,i,4.5,2005-04-02T23:53:47Z\n",
        "userId,movieId,rating,timestamp\nu,i,4.5,1112486027.0\n",
        "\nuserId,movieId,rating,timestamp\n\nu,i,4.5,1112486027000000\n",
        "userId,movieId,rating,timestamp,\nu,i,4.5,2005-04-03 01:53:47+02,\n",
    ])
    func theHeadDecidesWhichColumnIsWhich(text: String) throws {
        let event = try #require(try onlyEvent("r.csv", text))
        #expect(event == TimelineEvent(item: "i", rating: 4.5, time: 1_112_486_027_000), "\(text)")
    }

    @Test func kagglesNamesAndDatesAreMovieLens() throws {
        let folder = try TemporaryFolder()
        try folder.write(
            "rating.csv",
            "\"userId\",\"movieId\",\"rating\",\"timestamp\"\n1,10,3.5,\"2005-04-02 23:53:47\"\n"
        )
        try folder.write("movie.csv", "\"movieId\",\"title\",\"genres\"\n10,\"A (1995)\",\"Drama|War\"\n")
        let source = try DatasetFolder(path: folder.path)
        #expect(source.format == .movieLens)
        let data = try source.prepared()
        #expect(data.entry(user: 0, 0).time == 1_112_486_027_000)
        #expect(data.catalogue.items.first?.categories == ["Drama", "War"])
        #expect(data.origin.counts[.timesWithoutZone] == 1)
    }

    @Test func movieLens100KIsRead() throws {
        let folder = try TemporaryFolder()
        try folder.write("u.data", "196\t242\t3\t881250949\n186\t242\t4\t891717742\n")
        let flags = (0..<19).map { [1, 5].contains($0) ? "1" : "0" }.joined(separator: "|")
        try folder.write(
            "u.item",
            bytes: Array("242|Caf".utf8) + [0xE9] + Array(" (1997)|24-Jan-1997||http://x|\(flags)\n".utf8)
        )
        let source = try DatasetFolder(path: folder.path)
        #expect(source.format == .movieLens)
        let data = try source.prepared()
        #expect(
            data.catalogue.items == [CatalogueItem(id: "242", title: "Café (1997)", categories: ["Action", "Comedy"])]
        )
        #expect(data.users == ["196", "186"] && data.entry(user: 0, 0).time == 881_250_949_000)
    }

    @Test func quotesMayHoldLineBreaksAndDelimiters() throws {
        let folder = try TemporaryFolder()
        try folder.write("ratings.csv", "userId,movieId,rating,timestamp\n1,10,3.5,5\n1,11,4,6\n1,12,4,7\n")
        try folder.write(
            "movies.csv",
            "movieId,title,genres\r\n10,\"Alpha\r\nPart Two, \"\"X\"\"\n\n(1995)\",Drama\r\n11,Beta,Comedy\r\n"
                + "12,\"Gamma \"\"\"\"\",\"War\"\r\n"
        )
        let data = try DatasetFolder(path: folder.path).prepared()
        #expect(data.catalogue.items.map(\.title) == ["Alpha Part Two, \"X\" (1995)", "Beta", "Gamma \"\""])
        #expect(data.origin.counts[.recordsOfSeveralLines] == 1)
    }

    /// The line where the quote began is named, and what comes after it is read all the same.
    @Test func aQuoteThatNeverEndsIsNamed() throws {
        let folder = try TemporaryFolder()
        try folder.write("movies.csv", "movieId,title,genres\n10,\"Alpha (1995),Drama\n11,Beta,Comedy\n")
        try folder.write("ratings.csv", "userId,movieId,rating,timestamp\n1,11,3.5,5\n")
        #expect(
            message(folder.path).contains(
                "movies.csv:2: \"\"Alpha (1995),Drama\" begins with a quote that is not closed"
            )
        )
        let data = try DatasetFolder(path: folder.path).prepared(PreparationOptions(skipsBadLines: true))
        #expect(data.catalogue.items.map(\.title) == ["Beta"] && data.skippedLines == 1)
        // In a file of any length: no more than a megabyte is looked through for the end.
        let rows = (0..<200_000).map { "u\($0),11,3,5\n" }.joined()
        try folder.write("ratings.csv", "userId,movieId,rating,timestamp\n\"u,11,3.5,5\n" + rows)
        try folder.write("movies.csv", "movieId,title,genres\n11,Beta,Comedy\n")
        #expect(message(folder.path).contains("ratings.csv:2: "))
        let long = try DatasetFolder(path: folder.path).prepared(PreparationOptions(skipsBadLines: true))
        #expect(long.eventCount == 200_000 && long.skippedLines == 1)
    }

    @Test func textAfterAClosingQuoteIsNamed() throws {
        let folder = try TemporaryFolder()
        try folder.write("r.csv", "user,item,rating,time\n\"u\"x,i,4,5\n")
        #expect(message(folder.path).contains("r.csv:2: \"\"u\"x,i,4,5\" has text after the quote"))
    }

    /// A record of several lines is one step: reading goes on before or behind it, never within.
    @Test func readingGoesOnFromAnyPosition() throws {
        let folder = try TemporaryFolder()
        try folder.write(
            "r.csv",
            "user,item,rating,time,note\nu,a,1,5,\"x\ny\"\nu,b,2,6,z\nu,c,3,7,\"\n\n\"\nu,d,4,8,\n"
        )
        let source = try DatasetFolder(path: folder.path + "/r.csv")
        func rest(_ position: ReadPosition) throws -> ([ItemID], [ReadPosition], [Int]) {
            var reader = try source.events(from: position)
            var (items, positions, lines) = ([ItemID](), [ReadPosition](), [Int]())
            while let event: Event = try reader.next() {
                items.append(event.item)
                positions.append(reader.position)
                lines.append(reader.line)
            }
            return (items, positions, lines)
        }
        let (all, positions, lines) = try rest(.start)
        #expect(all == ["a", "b", "c", "d"] && lines == [2, 4, 5, 8])
        for (index, position) in positions.enumerated() { #expect(try rest(position).0 == Array(all[(index + 1)...])) }
    }

    @Test func datTitlesMayHaveColons() throws {
        let folder = try TemporaryFolder()
        try folder.write("movies.dat", "1::Toy::Story :: Two (1995)::Comedy|War\n2::::Drama\n3:::Odd:::War\n")
        try folder.write("ratings.dat", "1::1::5::10\n1::2::4::20\n1::3::4::30\n")
        let data = try DatasetFolder(path: folder.path).prepared()
        #expect(data.catalogue.items.map(\.title) == ["Toy::Story :: Two (1995)", "2", ":Odd:"])
        #expect(data.catalogue.items.map(\.categories) == [["Comedy", "War"], ["Drama"], ["War"]])
        #expect(data.origin.untitledItems == 1)
        try folder.write("movies.dat", "1::Comedy\n")
        #expect(message(folder.path).contains("movies.dat:1: \"1::Comedy\" has fewer than 3 fields"))
    }

    @Test func aFilmThatIsGivenTwiceCountsOnce() throws {
        let folder = try TemporaryFolder()
        try folder.write("movies.csv", "movieId,title,genres\n10,First,Drama\n11,B,War\n10,Second,Comedy\n")
        try folder.write("ratings.csv", "userId,movieId,rating,timestamp\n1,10,3.5,5\n")
        let data = try DatasetFolder(path: folder.path).prepared()
        #expect(data.catalogue.items == [CatalogueItem(id: "10", title: "First", categories: ["Drama"])])
        #expect(data.origin.counts[.itemsGivenTwice] == 1)
    }

    private static let amazonTimes = ["1369699200", "1355443200"]

    @Test(arguments: [true, false])
    func amazonsRatingsWithoutAHeadAreToldByTheirIDs(userFirst: Bool) throws {
        let folder = try TemporaryFolder()
        let ids = [("A2XXXXXXXXXXXX", "0205616461"), ("A3YYYYYYYYYYYY", "B000142FVW")]
        let lines = zip(ids, Self.amazonTimes).map { pair, time in
            (userFirst ? "\(pair.0),\(pair.1)" : "\(pair.1),\(pair.0)") + ",5.0,\(time)\n"
        }
        try folder.write("ratings_Lamps.csv", lines.joined())
        try folder.write("meta_Lamps.json", "{\"asin\": \"B000142FVW\", \"title\": \"A &amp; B\"}\n")
        let data = try DatasetFolder(path: folder.path).prepared()
        #expect(data.users == ["A2XXXXXXXXXXXX", "A3YYYYYYYYYYYY"])
        #expect(data.catalogue.items.map(\.title) == ["0205616461", "A & B"])
        #expect(data.entry(user: 0, 0).time == 1_369_699_200_000)
    }

    @Test(arguments: ["1,2,5,1369699200\n", "a,b,c\n", "u1,i1,5.0\nu2,i2,4.0\n"])
    func anyOtherTableWithoutAHeadIsRefusedWithAdvice(text: String) throws {
        let folder = try TemporaryFolder()
        try folder.write("r.csv", text)
        #expect(message(folder.path).contains("r.csv:1: "))
        #expect(message(folder.path).contains("is no head that names the columns of a table"))
        #expect(
            message(folder.path + "/r.csv", .csv).contains("write one before it, such as user,item,rating,timestamp")
        )
    }

    @Test(arguments: [
        ("1,i,5/5,9", "rating", "5/5"), ("1,i,\"4,5\",9", "rating", "4,5"), ("1,i,\\N,9", "rating", "\\N"),
        ("1,i,NaN,9", "rating", "NaN"), ("1,i,4,1.1e9", "timestamp", "1.1e9"), ("1,i,4,-5", "timestamp", "-5"),
        ("1,i,4,10000-01-01", "timestamp", "10000-01-01"), ("1,i,4,2023-02-29", "timestamp", "2023-02-29"),
        ("1,i,4,\\N", "timestamp", "\\N"), ("1,i,4,99999999999999999999", "timestamp", "99999999999999999999"),
        ("1,i,4,", "timestamp", ""), ("1,i,4,5.5.5", "timestamp", "5.5.5"), (",i,4,9", "user", ""),
        ("1,,4,9", "item", ""), ("NULL,i,4,9", "user", "NULL"), ("1,\\N,4,9", "item", "\\N"),
        ("nan,i,4,9", "user", "nan"),
        ("None,i,4,9", "user", "None"), ("<NA>,i,4,9", "user", "<NA>"), ("  ,i,4,9", "user", "  "),
        ("u ,i,4,9", "user", "u "), ("u, i,4,9", "item", " i"), ("1.08991E+20,i,4,9", "user", "1.08991E+20"),
        ("u,123.0,4,9", "item", "123.0"), ("NA,i,4,9", "user", "NA"), ("u,i,4,20200705", "timestamp", "20200705"),
        ("u,i,4,20260131120000", "timestamp", "20260131120000"),
    ])
    func aBadFieldIsNamedWithItsValue(line: String, field: String, value: String) throws {
        let folder = try TemporaryFolder()
        try folder.write("r.csv", "user,item,rating,timestamp\nu,i,4,9\n\(line)\nu,i,5,10\n")
        let source = try DatasetFolder(path: folder.path)
        do {
            _ = try source.prepared()
            Issue.record("read \(line)")
        } catch {
            #expect(
                error.file == folder.path + "/r.csv" && error.line == 3 && error.field == field && error.value == value
            )
        }
        let data = try source.prepared(PreparationOptions(skipsBadLines: true))
        #expect(data.eventCount == 2 && data.origin.counts[.badLines] == 1)
    }

    @Test func idsThatOnlyLookRoundedStay() throws {
        let folder = try TemporaryFolder()
        let ids = ["1e5", "1.5", "2.0.0", "7E", "1.0e", "3D", "N", "None1", "nano", "0"]
        try folder.write("r.csv", "user,item,timestamp\n" + ids.map { "u,\($0),1600000000\n" }.joined())
        #expect(try DatasetFolder(path: folder.path).prepared().eventCount == ids.count)
    }

    @Test func aTimeByAnotherNameIsReadOrAskedFor() throws {
        let folder = try TemporaryFolder()
        try folder.write(
            "e.csv",
            "event_time,event_type,product_id,price,user_id\n2019-10-01 00:00:02 UTC,view,b,1,u\n"
                + "2019-10-01 00:00:01 UTC,view,a,2,u\n"
        )
        let data = try DatasetFolder(path: folder.path).prepared()
        #expect(data.entry(user: 0, 0).time == 1_569_888_001_000)
        // What a table says besides is not lost without a word.
        #expect(data.origin.counts.unknownFields == ["price"])
        try folder.write("e.csv", "user,item,watch_date\nu,a,2019-10-01\n")
        #expect(message(folder.path).contains("e.csv:1: watch_date may be when its events happened"))
    }

    @Test func tooManyAndTooFewFieldsAreNamed() throws {
        let folder = try TemporaryFolder()
        for line in ["u,i,4,9,", "u,i,4", String(repeating: ",", count: 100_000)] {
            try folder.write("r.csv", "user,item,rating,timestamp\n\(line)\n")
            #expect(message(folder.path).contains("r.csv:2: "), "\(message(folder.path))")
            #expect(message(folder.path).contains("fields"))
        }
        // Nor is a head of a million columns one.
        try folder.write("r.csv", "user,item" + String(repeating: ",x", count: 500_000) + "\n")
        #expect(message(folder.path).contains("is no head"))
    }

    @Test func aColumnThatIsNamedTwiceIsRefused() throws {
        let folder = try TemporaryFolder()
        try folder.write("r.csv", "user,User,item,rating\na,b,i,5\n")
        #expect(message(folder.path).contains("r.csv:1: user is the name of more than one column"))
        // Of columns that nobody reads there may be as many as one likes.
        try folder.write("r.csv", "user,item,x,x\na,i,5,6\n")
        #expect(message(folder.path).isEmpty)
    }

    @Test func idsThatNoEventMayHaveAreNamed() throws {
        let folder = try TemporaryFolder()
        let long = String(repeating: "x", count: 513)
        for line in ["\(long),i,4,9", "u,\(long),4,9"] {
            try folder.write("r.csv", "user,item,rating,timestamp\nu,i,4,9\n\(line)\n")
            #expect(message(folder.path).contains("has 513 bytes, and an id may have 512"))
            #expect(message(folder.path).contains("r.csv:3: "))
            let data = try DatasetFolder(path: folder.path).prepared(PreparationOptions(skipsBadLines: true))
            #expect(data.eventCount == 1 && data.skippedLines == 1)
        }
        let latin1 = Array("user,item,rating,timestamp\nu,Caf".utf8) + [0xE9] + Array(",4,9\n".utf8)
        try folder.write("r.csv", bytes: latin1)
        #expect(message(folder.path).contains("r.csv:2: item \"Caf\u{FFFD}\" is not UTF-8"))
        #expect(message(folder.path).contains("iconv -f WINDOWS-1252"))
    }
}
