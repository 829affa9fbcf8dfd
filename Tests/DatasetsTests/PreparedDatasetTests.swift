import Catalogues
import Datasets
import Foundation
import Bytes
import Messages
import Testing

@Suite struct PreparedDatasetTests {
    private func folder() throws -> TemporaryFolder {
        let folder = try TemporaryFolder()
        try folder.write("movies.csv", "movieId,title,genres\n1,A,X|Y\n2,B,Y\n3,C,X\n4,Unseen,Z\n")
        try folder.write(
            "ratings.csv",
            "userId,movieId,rating,timestamp\nu,2,4,30\nu,1,5,10\nv,3,1,5\nu,3,2,20\nu,2,3,40\n"
        )
        return folder
    }

    private func prepare(_ folder: TemporaryFolder) throws -> PreparedDataset {
        let set = try MovieLensFolder(path: folder.path)
        var reader = try set.events()
        return try PreparedDataset(reading: &reader, catalogue: set.catalogue())
    }

    @Test func ordersEventsAndLeavesOutItemsWithoutEvents() throws {
        let data = try prepare(folder())
        #expect(data.users == ["u", "v"] && data.eventCount == 5)
        #expect(data.catalogue.items.map(\.id) == ["1", "2", "3"])
        #expect((0..<4).map { data.item(user: 0, $0) } == [0, 2, 1, 1])
        #expect(data.timeline(user: 0, 0..<1).first?.rating == 5)
        #expect(data.evaluatedUsers == [0])
    }

    @Test func writtenAndReadIsTheSame() throws {
        let folder = try folder()
        let data = try prepare(folder)
        let target = folder.path + "/prepared"
        try data.write(to: target)
        #expect(try PreparedDataset(contentsOf: target) == data)
    }

    @Test func aChangedOrShortFileIsAnError() throws {
        let folder = try folder()
        let target = folder.path + "/prepared"
        try prepare(folder).write(to: target)
        let url = URL(fileURLWithPath: target + "/sequences.bin")
        let bytes = try Data(contentsOf: url)
        var changed = bytes
        changed[changed.count - 1] ^= 1
        try changed.write(to: url)
        #expect(throws: DatasetError.self) { try PreparedDataset(contentsOf: target) }
        for count in [4, 20, bytes.count - 1] {
            try bytes.prefix(count).write(to: url)
            #expect(throws: DatasetError.self) { try PreparedDataset(contentsOf: target) }
        }
        #expect(throws: DatasetError.self) { try PreparedDataset(contentsOf: folder.path + "/none") }
    }

    @Test func anUnknownItemIsNamedOrSkipped() throws {
        let folder = try folder()
        try folder.write("movies.csv", "movieId,title,genres\n1,A,X|Y\n2,B,Y\n")
        let set = try MovieLensFolder(path: folder.path)
        var reader = try set.events()
        do {
            _ = try PreparedDataset(reading: &reader, catalogue: set.catalogue())
            Issue.record("took an unknown item")
        } catch {
            #expect(error.value == "3" && error.line == 4)
        }
        var again = try set.events()
        let data = try PreparedDataset(reading: &again, catalogue: set.catalogue(), skipsBadLines: true)
        #expect(data.skippedLines == 2 && data.eventCount == 3)
    }

    @Test func aDataSetWithoutEventsIsAnError() throws {
        let folder = try folder()
        try folder.write("ratings.csv", "userId,movieId,rating,timestamp\n")
        #expect(throws: DatasetError.self) { try prepare(folder) }
    }

    @Test func idsAndCategoriesThatDifferInBytesAloneAreDifferent() throws {
        let (composed, decomposed) = ("caf\u{E9}", "cafe\u{301}")
        let folder = try TemporaryFolder()
        try folder.write(
            "movies.csv",
            "movieId,title,genres\n\(composed),A,\(composed)\n\(decomposed),B,\(decomposed)\n"
        )
        try folder.write(
            "ratings.csv",
            "userId,movieId,rating,timestamp\n\(composed),\(composed),4,30\n\(decomposed),\(decomposed),5,10\n"
        )
        let data = try prepare(folder)
        #expect(data.users == [UserID(composed), UserID(decomposed)])
        #expect(data.catalogue.items.map(\.id) == [ItemID(composed), ItemID(decomposed)])
        #expect(data.catalogue.categories.map { TextKey($0) } == [TextKey(decomposed), TextKey(composed)])
        #expect(data.catalogue.categoryIndices == [[1], [0]])
        #expect(data.catalogue.index(of: ItemID(decomposed)) == 1)
        try data.write(to: folder.path + "/prepared")
        #expect(try PreparedDataset(contentsOf: folder.path + "/prepared") == data)
    }
}
