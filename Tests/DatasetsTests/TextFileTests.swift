import Datasets
import Foundation
import Bytes
import Testing

/// `.txt` is anything: sequences, a table that was renamed, a licence.
@Suite struct TextFileTests {
    private func message(_ path: String, _ format: DatasetFormat? = nil) -> String {
        do {
            _ = try DatasetFolder(path: path, format: format).prepared()
            return ""
        } catch {
            return error.description
        }
    }

    @Test(arguments: [
        "196\t242\t3\t881250949\n186\t302\t3\t891717742\n", "196 242 3 881250949\n",
        "u1 i1 5.0 1609459200\nu2 i1 3.0 1609459201\n",
        "1 2 4.5\n1 3 3.0\n", "1 2 4.5\n", "1 2 5\n1 3 3\n2 2 4\n", "1 2 5 1\n1 3 4 2\n",
        "1 2 1609459200\n2 3 1609459300\n",
        "u i 5 2005-04-02\nu j 4 2005-04-03\n", "u i 2005-04-02 23:53:47\nu j 2005-04-03 00:00:00\n",
        "1,10,3.5,1112486027\n1,11,4,1112486028\n", "1::10::3.5::1112486027\n", "1;10;3\n1;11;4\n", "1|10|3\n2|11|4\n",
        "0\t2010-10-19T23:55:27Z\t30.2359\t-97.795\t22847\n", "u i 0.25\n",
        "user_id item_id rating timestamp\nu1 i1 5.0 1609459200\n", "user\titem\nu1\ti1\n",
        "userId,movieId,rating\n1,2,3\n", "2 51 13883\n2 52 11690\n3 53 5\n4 51 12\n5 50 1\n",
    ])
    func aTableIsNeverTakenForSequences(text: String) throws {
        let folder = try TemporaryFolder()
        try folder.write("data.txt", text)
        for path in [folder.path, folder.path + "/data.txt"] {
            let said = message(path)
            #expect(said.contains("data.txt:1: ") && said.contains("--format sequences"), "\(said)")
            #expect(said.contains("--format csv"))
        }
        // Who says that they are sequences is believed.
        if text.contains(" ") || text.contains("\t") {
            #expect(try DatasetFolder(path: folder.path, format: .sequences).prepared().eventCount >= 2)
        }
    }

    @Test func aTableWithAHeadIsReadWhenItIsAskedFor() throws {
        let folder = try TemporaryFolder()
        try folder.write("train.txt", "user_id item_id rating timestamp\nu1 i1 5.0 1609459200\nu2 i1 3.0 1609459300\n")
        let data = try DatasetFolder(path: folder.path, format: .csv).prepared()
        #expect(data.users == ["u1", "u2"] && data.entry(user: 0, 0).rating == 5)
    }

    @Test(arguments: [
        "1 10 11 12\n2 11 13\n", "1 10\n1 11\n2 10\n", "7 3 1 2\n8 1\n",
        "A1YJEY40YUW4SE B004756YJA 7806397051 B002WLWX82\n",
        "u1 caf\u{E9} a b\nu2 cafe\u{301} a b\n", "1 100000001 100000002 100000003\n2 100000001 100000004 100000009\n",
        "a y z w\nb x y\n", "1 55 77 99 41\n2 55 77 98 42\n",
    ])
    func sequencesStaySequences(text: String) throws {
        let folder = try TemporaryFolder()
        try folder.write("s.txt", text)
        let source = try DatasetFolder(path: folder.path)
        #expect(source.format == .sequences)
        // Whoever has no digits is told that it may be text.
        #expect(source.isDoubtful == !text.contains { $0.isNumber } || text.hasPrefix("u1 "))
    }

    private static let texts = [
        "These data are for research only.\nDo not sell them.\n", "made with a script on Monday\n",
        "@article{harper2015,\n  title={The MovieLens Datasets},\n  year={2015}\n}\n",
        "Copyright 2015 by X\n\nPermission is granted to all\n", "# Notes\n\n- one: two\n- three\n", "\n\n", "one\n",
    ]

    @Test(arguments: texts)
    func textForPeopleIsPassedOverByWhatIsInIt(text: String) throws {
        let folder = try TemporaryFolder()
        try folder.write("about.txt", text)
        #expect(message(folder.path).contains("holds no data set that can be read"), "\(message(folder.path))")
        try folder.write("s.txt", "1 10 11 12\n2 11 13\n")
        let source = try DatasetFolder(path: folder.path)
        #expect(source.eventsPath.hasSuffix("/s.txt") && source.passedOver == ["about.txt"])
        #expect(try source.prepared().origin.counts[.filesPassedOver] == 1)
    }

    @Test func twoFilesOfEventsAreStillAnError() throws {
        let folder = try TemporaryFolder()
        try folder.write("a.txt", "1 10 11 12\n")
        try folder.write("b.txt", "1 10 11 12\n")
        #expect(message(folder.path).contains("a.txt (sequences), b.txt (sequences)"))
        // Words without digits may be text, and are where there is something better.
        try folder.write("b.txt", "dim item words\n")
        #expect(try DatasetFolder(path: folder.path).passedOver == ["b.txt"])
    }

    /// Lists of other programs: a comma at an id would be part of it.
    @Test(arguments: [
        "u1, i1, i2\nu2, i2, i4, i5\n", "u1\ti1,i2,i3\nu2\ti4,i5\n", "u1 [101, 102]\nu2 [7]\n", "u1 i1;i2\nu2 i3\n",
    ])
    func marksBetweenIDsAreNotTakenForPartsOfThem(text: String) throws {
        let folder = try TemporaryFolder()
        try folder.write("s.txt", text)
        #expect(message(folder.path).contains("s.txt:1: "), "\(message(folder.path))")
        #expect(message(folder.path).contains("--format sequences"), "\(message(folder.path))")
        #expect(try DatasetFolder(path: folder.path, format: .sequences).prepared().users.count == 2)
    }

    /// A name decides which file is read; a second one with events is not silently left out.
    @Test func filesOfEventsBesideTheNamedOneAreSaid() throws {
        let folder = try TemporaryFolder()
        try folder.write("movies.csv", "movieId,title,genres\n1,A,X\n2,B,Y\n")
        for name in ["ratings.csv", "ratings2.csv"] {
            try folder.write(name, "userId,movieId,rating,timestamp\n1,1,4,1000000000\n1,2,4,1000000001\n")
        }
        try folder.write("README.txt", "one two three\n")
        try folder.write("users.dat", "1::F::1::10::48067\n")
        try folder.write("links.csv", "movieId,imdbId,tmdbId\n1,0114709,862\n")
        let source = try DatasetFolder(path: folder.path)
        #expect(source.eventsPath.hasSuffix("/ratings.csv") && source.passedOver.count == 1)
        #expect(source.passedOver.first?.hasPrefix("ratings2.csv (it looks like events too") == true)
        #expect(try source.prepared().origin.counts[.filesPassedOver] == 1)

        let other = try TemporaryFolder()
        for name in ["events.ndjson", "more.ndjson"] {
            try other.write(name, #"{"user":"u","item":"a","time":1700000000000}"# + "\n")
        }
        #expect(try DatasetFolder(path: other.path).passedOver.first?.hasPrefix("more.ndjson (") == true)
    }

    @Test(
        arguments: [
            ([0xFF, 0xFE, 0x31, 0, 0x20, 0], "UTF-16"), ([0xFE, 0xFF, 0, 0x31, 0, 0x20], "UTF-16"),
            ([0x31, 0, 0x20, 0], "UTF-16LE"),
            ([0, 0x31, 0, 0x20], "UTF-16BE"), ([0x50, 0x4B, 3, 4], "zip"), ([0x42, 0x5A, 0x68, 0x39], "bunzip2"),
            ([0xFD, 0x37, 0x7A, 0x58, 0x5A], "unxz"), ([0x50, 0x41, 0x52, 0x31], "Parquet"),
            ([0x1F, 0x8B, 8, 0], "is cut off"),
        ] as [([UInt8], String)]
    )
    func whatIsNoTextIsNamed(bytes: [UInt8], word: String) throws {
        let folder = try TemporaryFolder()
        for name in ["data.txt", "ratings.csv", "events.ndjson", "data.json"] {
            try folder.write(name, bytes: bytes + [UInt8](repeating: 0, count: 0))
            #expect(message(folder.path + "/" + name).contains(word), "\(message(folder.path + "/" + name))")
        }
    }

    @Test func aLineWithoutEndIsRefusedInBoundedMemory() throws {
        let folder = try TemporaryFolder()
        let giant = [UInt8](repeating: UInt8(ascii: "x"), count: 40 << 20)
        for name in ["a.txt", "a.csv", "a.jsonl"] {
            try folder.write(name, bytes: giant)
            #expect(
                message(folder.path + "/" + name).contains("is longer than 16777216 bytes; is this a file of lines?")
            )
        }
    }

    @Test(arguments: ["[{\"user_id\": \"A\"}]", " \n[\n{}", "\u{FEFF}[1"])
    func aJSONArrayIsNamedWithTheWayOut(text: String) throws {
        let folder = try TemporaryFolder()
        try folder.write("reviews.json", text)
        #expect(message(folder.path).contains("reviews.json: is one JSON array"))
        #expect(message(folder.path).contains("jq -c '.[]' reviews.json > reviews.jsonl"))
    }

    @Test func anObjectOverManyLinesIsNamed() throws {
        let folder = try TemporaryFolder()
        try folder.write("r.json", "{\n  \"user_id\": \"A\",\n  \"parent_asin\": \"B\"\n}\n")
        #expect(message(folder.path).contains("jq -c ."))
    }

    @Test func whatIsNotNeededAndCannotBeReadIsNoReasonToStop() throws {
        let folder = try TemporaryFolder()
        try folder.write("s.txt", "1 10 11 12\n")
        try folder.write("notes.txt", bytes: [0xFF, 0xFE, 0x31, 0])
        try folder.write("items.json", "[{\"id\": 10, \"title\": \"T\"}]")
        let source = try DatasetFolder(path: folder.path)
        #expect(source.eventsPath.hasSuffix("/s.txt") && source.passedOver.count == 2)
        #expect(source.passedOver[0].contains("items.json (is one JSON array"))
        #expect(source.passedOver[1].contains("notes.txt (is UTF-16"))
        // Who names it is told what is wrong with it.
        do {
            _ = try DatasetFolder(path: folder.path + "/s.txt", metadata: folder.path + "/items.json").prepared()
            Issue.record("read an array as lines")
        } catch {
            #expect(error.description.contains("items.json: is one JSON array"))
        }
        // Words are not taken for the data where the data cannot be read.
        try folder.write("s.txt", "dim item words\n")
        #expect(message(folder.path).contains("items.json: is one JSON array"))
    }

    @Test func carriageReturnsAloneAreNamed() throws {
        let folder = try TemporaryFolder()
        for (name, text) in [("r.csv", "user,item,rating\ru,i,5\rv,i,4"), ("s.txt", "1 10 11\r2 11 12\r")] {
            try folder.write(name, text)
            #expect(message(folder.path + "/" + name).contains("carriage return alone"))
        }
    }
}
