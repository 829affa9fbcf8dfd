import Bytes
import Datasets
import Foundation
import Testing

/// What users wrote, kept beside the events of a prepared data set.
@Suite struct PreparedReviewsTests {
    /// Two users in turns, not in the order of time; one review is empty, one missing, one long and not ASCII.
    private static let amazon = #"""
        {"reviewerID": "A", "asin": "B1", "reviewText": "  third &amp; last\n", "summary": "S", "unixReviewTime": 1393545603}
        {"reviewerID": "Z", "asin": "B1", "reviewText": "from Z", "summary": "S", "unixReviewTime": 1393545600}
        {"reviewerID": "A", "asin": "B2", "reviewText": "first", "summary": "S", "unixReviewTime": 1393545601}
        {"reviewerID": "A", "asin": "B3", "reviewText": " ", "summary": "S", "unixReviewTime": 1393545602}
        {"reviewerID": "Z", "asin": "B2", "summary": "S", "unixReviewTime": 1393545601}
        {"reviewerID": "Z", "asin": "B3", "reviewText": "0123456789abcde\u00e9\u00e9\u00e9", "unixReviewTime": 1393545602}

        """#

    private func prepare(
        _ folder: TemporaryFolder,
        bytes: Int? = 16,
        _ change: (inout PreparationOptions) -> Void = { _ in }
    ) throws -> PreparedDataset {
        var options = PreparationOptions(reviewByteCount: bytes)
        change(&options)
        return try DatasetFolder(path: folder.path).prepared(options)
    }

    private func folder(_ text: String = amazon) throws -> TemporaryFolder {
        let folder = try TemporaryFolder()
        try folder.write("reviews.json", text)
        return folder
    }

    private func texts(_ data: PreparedDataset) -> [[String?]] {
        data.users.indices.map { user in
            (0..<data.eventCount(ofUser: user)).map { data.review(user: user, $0) }
        }
    }

    private func message(_ body: () throws -> Void) -> String {
        do {
            try body()
            return "no error"
        } catch {
            return "\(error)"
        }
    }

    @Test func eachEventHasItsReviewInTheOrderOfTime() throws {
        let data = try prepare(folder())
        #expect(data.users == ["A", "Z"])
        // Cut before the character that the sixteenth byte would divide.
        #expect(texts(data) == [["first", nil, "third & last"], ["from Z", nil, "0123456789abcde"]])
        #expect(data.hasReviews && data.reviewCount == 4)
        #expect(data.origin.counts[.withoutReview] == 2 && data.origin.counts[.reviewsCut] == 1)
        #expect(try prepare(folder(), bytes: 17).review(user: 1, 2) == "0123456789abcdeé")
    }

    @Test func whatIsLeftOutTakesItsReviewAlong() throws {
        let folder = try folder(
            Self.amazon
                + #"{"reviewerID": "A", "asin": "B2", "reviewText": "again", "unixReviewTime": 1393545601}"# + "\n"
                + #"{"reviewerID": "Y", "asin": "B9", "reviewText": "rare", "unixReviewTime": 1393545601}"# + "\n"
        )
        let data = try prepare(folder) {
            $0.minimumUserEvents = 2
            $0.minimumItemEvents = 2
            $0.dropsDuplicates = true
        }
        #expect(texts(data) == [["first", nil, "third & last"], ["from Z", nil, "0123456789abcde"]])
    }

    @Test func writtenAndReadIsTheSame() throws {
        let folder = try folder()
        let data = try prepare(folder)
        let elsewhere = try TemporaryFolder()
        let target = elsewhere.path + "/prepared"
        try data.write(to: target)
        let found = try PreparedDataset(contentsOf: target)
        #expect(found == data && found.hasReviews && texts(found) == texts(data))
        // Without reviews the folder keeps none of those before.
        let plain = try prepare(folder, bytes: nil)
        try plain.write(to: target)
        #expect(!FileManager.default.fileExists(atPath: target + "/reviews.bin"))
        let without = try PreparedDataset(contentsOf: target)
        #expect(without == plain && !without.hasReviews && without.review(user: 0, 0) == nil)
    }

    @Test func theHashCoversReviewsAndIsUnchangedWithout() throws {
        let folder = try folder()
        let (long, short, none) = (
            try prepare(folder, bytes: 100), try prepare(folder), try prepare(folder, bytes: nil)
        )
        #expect(Set([long, short, none].map(\.dataHash)).count == 3)
        let other = try TemporaryFolder()
        try other.write("reviews.json", Self.amazon.replacing("first", with: "First"))
        #expect(try prepare(other).dataHash != short.dataHash)
        #expect(try prepare(other, bytes: nil).dataHash == none.dataHash)
        #expect(none.origin.counts[.withoutReview] == 0 && none.origin.counts[.htmlEntities] == 0)
    }

    @Test func aChangedOrShortFileIsAnError() throws {
        let folder = try folder()
        let target = folder.path + "/prepared"
        try prepare(folder).write(to: target)
        let url = URL(fileURLWithPath: target + "/reviews.bin")
        let bytes = try Data(contentsOf: url)
        // The mark, the count, a length (too much, or as if there were less), a text.
        for (place, value) in [(0, UInt8(0)), (8, 7), (12, 0xFF), (12, 4), (bytes.count - 1, 0x58)] {
            var changed = bytes
            changed[place] = value
            try changed.write(to: url)
            #expect(throws: DatasetError.self, "byte \(place)") { try PreparedDataset(contentsOf: target) }
        }
        for count in [4, 20, bytes.count - 1] {
            try bytes.prefix(count).write(to: url)
            #expect(throws: DatasetError.self) { try PreparedDataset(contentsOf: target) }
        }
        try FileManager.default.removeItem(at: url)
        #expect(message { _ = try PreparedDataset(contentsOf: target) }.contains("reviews.bin"))
    }

    @Test func aDataSetWithoutReviewsIsNamed() throws {
        let films = try TemporaryFolder()
        try films.write("movies.csv", "movieId,title,genres\n1,A,X|Y\n")
        try films.write("ratings.csv", "userId,movieId,rating,timestamp\nu,1,4,30\n")
        let found = message { _ = try prepare(films) }
        #expect(found.contains("ratings.csv: has no reviews, as movielens has none"), "\(found)")
        let event = #"{"reviewerID": "A", "asin": "B", "summary": "S", "unixReviewTime": 1393545601}"#
        let silent = try folder(event + "\n")
        let nobody = message { _ = try prepare(silent) }
        #expect(nobody.contains("has no review: nobody wrote a text about any of the 1 events"), "\(nobody)")
        #expect(try prepare(silent, bytes: nil).eventCount == 1)
    }

    @Test func aTextWithANULIsABadLine() throws {
        let bad = #"{"reviewerID": "A", "asin": "B", "reviewText": "a\u0000b", "unixReviewTime": 1393545601}"# + "\n"
        let folder = try folder(Self.amazon + bad)
        #expect(message { _ = try prepare(folder) }.contains("reviews.json:7: text \"a"))
        let data = try prepare(folder) { $0.skipsBadLines = true }
        #expect(data.eventCount == 6 && data.skippedLines == 1)
    }

    @Test func textsOfEventsAreKeptToo() throws {
        let folder = try TemporaryFolder()
        try folder.write("catalogue.json", #"{"items": [{"id": "i", "title": "I", "categories": []}]}"#)
        let event = #"{"user":"u","item":"i","time":1700000000000,"text":"well made"}"#
        try folder.write("events.ndjson", event + "\n")
        #expect(try prepare(folder).review(user: 0, 0) == "well made")
    }
}
