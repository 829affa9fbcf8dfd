import Catalogues
import Datasets
import Foundation
import Bytes
import Messages
import Testing

/// RecBole's atomic files.
@Suite struct RecBoleTests {
    private let events = """
        user_id:token\titem_id:token\trating:float\ttimestamp:float
        u1\ti1\t5.0\t1609459200.0
        u1\ti2\t4.0\t1609459300.5
        u2\ti1\t3.0\t1609459400

        """

    @Test(arguments: ["toy.inter", "toy.txt", "toy.train.inter", "toy.inter.gz"])
    func isReadByItsHead(name: String) throws {
        let folder = try TemporaryFolder()
        if name.hasSuffix(".gz") { try folder.write(name, gzip: events) } else { try folder.write(name, events) }
        try folder.write(
            "toy.item",
            "item_id:token\tmovie_title:token_seq\trelease_year:token\tclass:token_seq\ni1\t\"Toy\" Tale, A\t1995\tDrama Sci-Fi\n"
                + "i2\tB &amp; C\t1996\tDrama, Slice of Life\n"
        )
        try folder.write("toy.user", "user_id:token\tage:token\nu1\t24\n")
        for format in [nil, DatasetFormat.recBole] {
            let source = try DatasetFolder(path: folder.path, format: format)
            #expect(source.format == .recBole)
            let data = try source.prepared()
            #expect(data.users == ["u1", "u2"] && data.eventCount == 3)
            #expect((0..<2).map { data.entry(user: 0, $0).time } == [1_609_459_200_000, 1_609_459_300_500])
            #expect(data.entry(user: 0, 0).rating == 5)
            #expect(
                data.catalogue.items == [
                    CatalogueItem(id: "i1", title: "\"Toy\" Tale, A", categories: ["Drama", "Sci-Fi"]),
                    CatalogueItem(id: "i2", title: "B &amp; C", categories: ["Drama", "Slice of Life"]),
                ]
            )
        }
    }

    @Test func theDelimiterIsThatOfTheHead() throws {
        let folder = try TemporaryFolder()
        try folder.write("toy.inter", "user_id:token,item_id:token,timestamp:float\nu1,\"i,1\",1609459200\n")
        try folder.write(
            "toy.item",
            "item_id:token,title:token_seq,categories:token_seq\n\"i,1\",A,\"'Home, Bed', 'Child\\'s'\"\n"
        )
        let data = try DatasetFolder(path: folder.path).prepared()
        #expect(data.catalogue.items.map(\.id) == ["i,1"] && data.entry(user: 0, 0).rating == nil)
        #expect(data.catalogue.items.first?.categories.first == "Home, Bed")
    }

    @Test func eventsWithoutATimeKeepTheFilesOrder() throws {
        let folder = try TemporaryFolder()
        try folder.write("toy.inter", "item_id:token\tuser_id:token\nb\tu\na\tu\nb\tv\n")
        let data = try DatasetFolder(path: folder.path).prepared()
        #expect(data.timeline(user: 0, 0..<2).map(\.item) == ["b", "a"])
        #expect(data.origin.counts[.timesFromOrder] == 3)
    }

    @Test func severalSplitsAreNamed() throws {
        let folder = try TemporaryFolder()
        for name in ["toy.train.inter", "toy.test.inter"] { try folder.write(name, events) }
        do {
            _ = try DatasetFolder(path: folder.path)
            Issue.record("chose one of two")
        } catch {
            #expect(error.description.contains("toy.test.inter (recbole), toy.train.inter (recbole)"))
        }
    }
}
