import Catalogues
import Datasets
import Foundation
import Bytes
import Messages
import Testing

@Suite struct MovieLensTests {
    @Test func readsDatFilesInLatin1() throws {
        let folder = try TemporaryFolder()
        var movies = Array("1::Toy Tale (1995)::Animation|Comedy\n2::Caf".utf8)
        movies += [0xE9] + Array(": Part 2 (1996)::Drama\n".utf8)
        try folder.write("movies.dat", bytes: movies)
        try folder.write("ratings.dat", "7::2::5::10\r\n7::1::3::20")
        let set = try MovieLensFolder(path: folder.path)
        let catalogue = try set.catalogue()
        #expect(catalogue.items.map(\.title) == ["Toy Tale (1995)", "Café: Part 2 (1996)"])
        #expect(catalogue.items[0].categories == ["Animation", "Comedy"])
        #expect(catalogue.index(of: "2") == 1)
        var events: [Event] = []
        var reader = try set.events()
        try reader.forEach { events.append($0) }
        #expect(
            events == [
                Event(user: "7", item: "2", type: "rating", rating: 5, time: 300_000_010_000),
                Event(user: "7", item: "1", type: "rating", rating: 3, time: 300_000_020_000),
            ]
        )
    }

    @Test func readsQuotedTitlesInCSV() throws {
        let folder = try TemporaryFolder()
        try folder.write(
            "movies.csv",
            "movieId,title,genres\r\n11,\"American Tale, The (1995)\",Comedy|Drama\r\n12,\"Say \"\"Hi\"\" (2001)\",(no genres listed)\r\n"
        )
        try folder.write("ratings.csv", "userId,movieId,rating,timestamp\n1,11,4.5,964982703\n")
        let set = try MovieLensFolder(path: folder.path)
        let catalogue = try set.catalogue()
        #expect(catalogue.items.map(\.title) == ["American Tale, The (1995)", "Say \"Hi\" (2001)"])
        #expect(catalogue.items[1].categories.isEmpty)
        var reader = try set.events()
        let event = try #require(try reader.next())
        #expect(event.rating == 4.5 && event.time == 964_982_703_000)
        #expect(try reader.next() == nil)
    }

    @Test(arguments: [
        ("1,11,four,5", "rating", "four"), ("1,11,4,soon", "timestamp", "soon"), ("1,11,99,5", "rating", "99"),
        (",11,4,5", "userId", ""), ("1,,4,5", "movieId", ""), ("1,11,nan,5", "rating", "nan"),
    ])
    func namesFileLineFieldAndValueOfABadLine(line: String, field: String, value: String) throws {
        let folder = try TemporaryFolder()
        try folder.write("movies.csv", "movieId,title,genres\n11,A (1995),Comedy\n")
        try folder.write("ratings.csv", "userId,movieId,rating,timestamp\n1,11,4,5\n\(line)\n2,11,3,6\n")
        let set = try MovieLensFolder(path: folder.path)
        var reader = try set.events()
        _ = try reader.next()
        do {
            _ = try reader.next()
            Issue.record("read \(line)")
        } catch {
            #expect(error.file == folder.path + "/ratings.csv" && error.line == 3)
            #expect(error.field == field && error.value == value)
        }
        // Reading goes on after the bad line.
        #expect(try reader.next()?.user == "2")

        var lenient = try set.events(skipsBadLines: true)
        var users: [UserID] = []
        try lenient.forEach { users.append($0.user) }
        #expect(users == ["1", "2"] && lenient.skippedLines == 1)
    }

    @Test func aLineWithTooFewFieldsSaysWhichAreExpected() throws {
        let folder = try TemporaryFolder()
        try folder.write("movies.dat", "1::A::B\n")
        try folder.write("ratings.dat", "1::2::3\n")
        var reader = try MovieLensFolder(path: folder.path).events()
        do {
            _ = try reader.next()
            Issue.record("read a line of three fields")
        } catch {
            #expect(error.description.contains("ratings.dat:1:") && error.description.contains("timestamp"))
        }
    }

    @Test func aWrongHeaderIsAnErrorEvenWhenBadLinesAreSkipped() throws {
        let folder = try TemporaryFolder()
        try folder.write("movies.csv", "movieId,title,genres\n1,A,B\n")
        try folder.write("ratings.csv", "who,what,rating,timestamp\n1,1,3,4\n")
        do {
            _ = try MovieLensFolder(path: folder.path).events(skipsBadLines: true)
            Issue.record("opened a table without users")
        } catch {
            #expect(error.file == folder.path + "/ratings.csv" && error.line == 1)
            #expect(error.value == "who,what,rating,timestamp" && error.reason.contains("user,item,rating,timestamp"))
        }
    }

    @Test func readingGoesOnFromAPosition() throws {
        let folder = try TemporaryFolder()
        try folder.write("movies.dat", "1::A::B\n")
        try folder.write("ratings.dat", (1...50_000).map { "\($0)::1::3::\($0)\n" }.joined())
        let set = try MovieLensFolder(path: folder.path)
        var first = try set.events()
        for _ in 0..<30_000 { _ = try first.next() }
        var second = try set.events(from: first.position)
        #expect(try second.next()?.user == "30001")
        #expect(second.position.line == 30_001)
        var count = 1
        try second.forEach { _ in count += 1 }
        #expect(count == 20_000)
    }

    @Test func missingFoldersAndFilesAreNamed() throws {
        let folder = try TemporaryFolder()
        func message(_ path: String) -> String {
            do {
                _ = try MovieLensFolder(path: path)
                return ""
            } catch {
                return error.description
            }
        }
        #expect(message(folder.path + "/none").contains("is not a folder"))
        #expect(message(folder.path).contains("holds no MovieLens data set"))
        try folder.write("movies.csv", "movieId,title,genres\n")
        #expect(message(folder.path).contains("ratings.csv: does not exist"))
        try folder.write("ratings.csv", "userId,movieId,rating,timestamp\n")
        #expect(throws: DatasetError.self) { try MovieLensFolder(path: folder.path).catalogue() }
    }
}
