import Catalogues
import Datasets
import Foundation
import Bytes
import Messages
import Testing

/// Amazon's and Google's reviews and metadata, in lines as they are published.
@Suite struct ReviewTests {
    struct Example: Sendable, CustomTestStringConvertible {
        var format: DatasetFormat
        var reviews: (name: String, text: String)
        var metadata: (name: String, text: String)
        var testDescription: String { reviews.name }
    }

    static let amazon2014 = Example(
        format: .amazon,
        reviews: (
            "reviews_Lamps_5.json",
            #"""
            {"reviewerID": "A1", "asin": "B1", "reviewerName": "J. \"Jay\"", "helpful": [2, 3], "reviewText": "Caf\u00e9 \ud83d\ude00", "overall": 5.0, "summary": "good", "unixReviewTime": 1393545600, "reviewTime": "02 28, 2014"}
            {"reviewerID": "A1", "asin": "B2", "helpful": [0, 0], "reviewText": "", "overall": 1.0, "summary": "bad", "unixReviewTime": 1293545600, "reviewTime": "12 28, 2010"}
            {"reviewerID": "A2", "asin": "B1", "helpful": [0, 0], "reviewText": "ok", "overall": 3.0, "summary": "", "unixReviewTime": 1393545601, "reviewTime": "02 28, 2014"}
            """#
        ),
        metadata: (
            "meta_Lamps.json",
            #"""
            {'asin': 'B1', 'title': "Child's Lamp", 'price': 3.17, 'imUrl': 'http://x/y.jpg', 'related': {'also_bought': ['B7', 'B8'], 'buy_after_viewing': []}, 'salesRank': {'Home': 211836}, 'brand': '', 'categories': [['Home', 'Light'], ['Home', 'Child\'s']]}
            {'asin': 'B2', 'title': 'Old \xe9cran', 'description': None, 'flags': (True, False,), 'categories': [['Home', 'Screen']]}
            {'asin': 'B9', 'categories': [['Home']]}
            """#
        )
    )

    static let amazon2018 = Example(
        format: .amazon,
        reviews: (
            "Lamps_5.json",
            #"""
            {"overall": 5.0, "vote": "2", "verified": true, "reviewTime": "02 28, 2014", "reviewerID": "A1", "asin": "B1", "style": {"Color:": " Red"}, "reviewerName": "Jay", "reviewText": "Café 😀", "summary": "good", "unixReviewTime": 1393545600}
            {"overall": 1.0, "verified": false, "reviewTime": "12 28, 2010", "reviewerID": "A1", "asin": "B2", "summary": "bad", "unixReviewTime": 1293545600}
            {"overall": 3.0, "verified": false, "reviewTime": "02 28, 2014", "reviewerID": "A2", "asin": "B1", "reviewText": "ok", "unixReviewTime": 1393545601}
            """#
        ),
        metadata: (
            "meta_Lamps.json",
            #"""
            {"category": ["Home", "Light", "Child's"], "tech1": "", "description": ["For", "children"], "title": "Child's Lamp", "also_buy": [], "rank": [">#2 in Home"], "main_cat": "Home", "price": "$3.17", "asin": "B1"}
            {"category": ["Home", "Screen"], "title": "Old écran", "main_cat": "Home", "asin": "B2", "details": {"Weight": null}}
            {"category": ["Home"], "title": "A second entry of the same", "asin": "B2"}
            """#
        )
    )

    static let amazon2023 = Example(
        format: .amazon,
        reviews: (
            "Lamps.jsonl",
            #"""
            {"rating": 5.0, "title": "good", "text": "Café 😀", "images": [{"small_image_url": "u"}], "asin": "C1", "parent_asin": "B1", "user_id": "A1", "timestamp": 1393545600000, "helpful_vote": 0, "verified_purchase": true}
            {"rating": 1.0, "title": "bad", "text": "", "images": [], "asin": "C2", "parent_asin": "B2", "user_id": "A1", "timestamp": 1293545600000, "helpful_vote": 0, "verified_purchase": true}
            {"rating": 3.0, "title": "", "text": "ok", "images": [], "asin": "C1", "parent_asin": "B1", "user_id": "A2", "timestamp": 1393545601000, "helpful_vote": 0, "verified_purchase": false}
            """#
        ),
        metadata: (
            "meta_Lamps.jsonl",
            #"""
            {"main_category": "Home", "title": "Child's Lamp", "average_rating": 4.8, "rating_number": 10, "features": [], "price": null, "store": "Jay", "categories": ["Light", "Child's"], "details": {"Package": "7.1 x 5.5; 2.38"}, "parent_asin": "B1", "bought_together": null}
            {"main_category": "Screen", "title": "Old écran", "categories": [], "parent_asin": "B2"}
            """#
        )
    )

    static let googleLocal = Example(
        format: .googleLocal,
        reviews: (
            "review-Vermont_10.json",
            #"""
            {"user_id": "A1", "name": "Jay", "time": 1393545600000, "rating": 5, "text": "good\nCafé 😀", "pics": null, "resp": {"time": 1588687728923, "text": "Thank you"}, "gmap_id": "B1"}
            {"user_id": "A1", "name": "Jay", "time": 1293545600000, "rating": 1, "text": "bad", "pics": [{"url": ["https://x"]}], "resp": null, "gmap_id": "B2"}
            {"user_id": "A2", "name": "Kay", "time": 1393545601000, "rating": 3, "text": "ok", "pics": null, "resp": null, "gmap_id": "B1"}
            """#
        ),
        metadata: (
            "meta-Vermont.json",
            #"""
            {"name": "Child's Lamp", "address": "1 Road", "gmap_id": "B1", "latitude": 44.5, "category": ["Light", "Child's"], "MISC": {"Access": ["Ramp"]}, "hours": [["Monday", "9AM-5PM"]], "url": "https://x"}
            {"name": "Old écran", "gmap_id": "B2", "latitude": -4.45e1, "category": ["Screen"], "hours": null}
            """#
        )
    )

    static let examples = [amazon2014, amazon2018, amazon2023, googleLocal]

    private func write(_ example: Example, gzip: Bool = false) throws -> TemporaryFolder {
        let folder = try TemporaryFolder()
        for file in [example.reviews, example.metadata] {
            if gzip {
                try folder.write(file.name + ".gz", gzip: file.text + "\n")
            } else {
                try folder.write(file.name, file.text + "\n")
            }
        }
        return folder
    }

    @Test(arguments: examples, [false, true])
    func everyPublishedFormIsFoundAndRead(example: Example, gzip: Bool) throws {
        let folder = try write(example, gzip: gzip)
        for format in [nil, example.format] {
            let source = try DatasetFolder(path: folder.path, format: format)
            #expect(source.format == example.format)
            let data = try source.prepared()
            #expect(data.users == ["A1", "A2"] && data.eventCount == 3)
            #expect(
                data.timeline(user: 0, 0..<2) == [
                    TimelineEvent(item: "B2", rating: 1, time: 1_293_545_600_000),
                    TimelineEvent(item: "B1", rating: 5, time: 1_393_545_600_000),
                ]
            )
            let lamp = try #require(data.catalogue.item("B1"))
            #expect(lamp.title == "Child's Lamp" && lamp.categories == ["Light", "Child's"])
            let screen = try #require(data.catalogue.item("B2"))
            #expect(screen.title == "Old écran" && screen.categories == ["Screen"])
            #expect(data.origin.untitledItems == 0)
        }
        // A file of events alone finds its metadata too.
        let file = folder.path + "/" + example.reviews.name + (gzip ? ".gz" : "")
        #expect(
            try DatasetFolder(path: file).metadataPath?.hasSuffix(example.metadata.name + (gzip ? ".gz" : "")) == true
        )
    }

    @Test(arguments: examples)
    func whatUsersWroteIsInTheEvents(example: Example) throws {
        let folder = try write(example)
        var reader = try DatasetFolder(path: folder.path).events()
        var events: [Event] = []
        while let event: Event = try reader.next() { events.append(event) }
        #expect(events.map(\.text) == ["good\nCafé 😀", "bad", "ok"])
        #expect(events.map(\.type) == ["review", "review", "review"])
    }

    /// Published text was taken from web pages, titles and reviews alike; tags and line breaks stay.
    @Test(arguments: [
        #""reviewerID": "A", "asin": "B", "unixReviewTime": 1588687728, "summary": "ONE", "reviewText": "TWO""#,
        #""user_id": "A", "parent_asin": "B", "timestamp": 1588687728923, "title": "ONE", "text": "TWO""#,
        #""user_id": "A", "gmap_id": "B", "time": 1588687728923, "text": "ONE\nTWO""#,
    ])
    func entitiesInReviewsAreDecoded(fields: String) throws {
        let folder = try TemporaryFolder()
        let line = fields.replacing("ONE", with: "It&#39;s &#34;A&#34; &amp;amp; B")
            .replacing("TWO", with: #"5&quot; &lt;br /&gt;\n R&D"#)
        try folder.write("r.json", "{\(line)}\n")
        var reader = try DatasetFolder(path: folder.path).events()
        #expect(try reader.next()?.text == "It's \"A\" &amp; B\n5\" <br />\n R&D")
        #expect(reader.counts[.htmlEntities] == 7)
        // Who wants no text has none to decode.
        #expect(try DatasetFolder(path: folder.path).prepared().origin.counts[.htmlEntities] == 0)
    }

    @Test func withoutMetadataItemsAreCalledByTheirIDs() throws {
        let folder = try TemporaryFolder()
        try folder.write("Lamps.jsonl", Self.amazon2023.reviews.text)
        let source = try DatasetFolder(path: folder.path)
        #expect(source.metadataPath == nil)
        let data = try source.prepared()
        #expect(data.catalogue.items.map(\.title) == ["B1", "B2"] && data.origin.untitledItems == 2)
        try folder.write("elsewhere.txt", Self.amazon2023.metadata.text)
        let named = try DatasetFolder(path: folder.path, metadata: folder.path + "/elsewhere.txt")
        #expect(try named.prepared().catalogue.items.map(\.title) == ["Child's Lamp", "Old écran"])
        #expect(throws: DatasetError.self) {
            try DatasetFolder(path: folder.path, metadata: folder.path + "/missing.json")
        }
    }

    private static let badLines: [(line: String, field: String?, value: String?)] = [
        (#"{"user_id": 1.5, "parent_asin": "B", "rating": 5, "timestamp": 1588687728923}"#, "user_id", "1.5"),
        (#"{"user_id": "A", "parent_asin": "", "rating": 5, "timestamp": 1588687728923}"#, "parent_asin", ""),
        (#"{"user_id": "A", "rating": 5, "timestamp": 1588687728923}"#, "parent_asin", nil),
        (
            #"{"user_id": "A", "parent_asin": "B", "rating": "5 stars", "timestamp": 1588687728923}"#, "rating",
            "\"5 stars\""
        ),
        (#"{"user_id": "A", "parent_asin": "B", "rating": 50, "timestamp": 1588687728923}"#, "rating", "50"),
        (#"{"user_id": "A", "parent_asin": "B", "rating": 5, "timestamp": 1.5}"#, "timestamp", "1.5"),
        (#"{"user_id": "A", "parent_asin": "B", "rating": 5}"#, "timestamp", nil),
        (#"{"user_id": "A", "parent_asin": "B", "rating": 5, "timestamp": 1588687728923"#, nil, ""),
        (
            #"{"user_id": "A", "parent_asin": "B" "rating": 5, "timestamp": 1588687728923}"#, nil,
            #""rating": 5, "timestamp": 1588687728923}"#
        ),
        ("not JSON at all", nil, "not JSON at all"),
    ]

    @Test(arguments: badLines)
    func namesFileLineFieldAndValueOfABadLine(line: String, field: String?, value: String?) throws {
        let folder = try TemporaryFolder()
        let good = #"{"user_id": "A", "parent_asin": "B", "rating": 5, "timestamp": 1588687728923}"#
        try folder.write("R.jsonl", "\(good)\n\(line)\n\(good)\n")
        let source = try DatasetFolder(path: folder.path)
        do {
            _ = try source.prepared()
            Issue.record("read \(line)")
        } catch {
            #expect(error.file == folder.path + "/R.jsonl" && error.line == 2)
            #expect(error.field == field && error.value == value, "\(error)")
        }
        let data = try source.prepared(PreparationOptions(skipsBadLines: true))
        #expect(data.eventCount == 2 && data.skippedLines == 1)
    }

    @Test func aReviewWithoutRatingHasNone() throws {
        let folder = try TemporaryFolder()
        try folder.write(
            "r.json",
            #"{"user_id": "A", "gmap_id": "B", "rating": null, "time": 1588687728923, "text": null}"#
        )
        let data = try DatasetFolder(path: folder.path).prepared()
        #expect(data.entry(user: 0, 0).rating == nil && data.entry(user: 0, 0).time == 1_588_687_728_923)
    }

    @Test func aCategoryOfNearlyAllItemsIsLeftOut() throws {
        let folder = try TemporaryFolder()
        try folder.write("s.txt", (1...40).map { "u \($0)\n" }.joined())
        // One item stands outside the tree whose root is Home.
        let items = (1...40).map {
            "{\"id\": \($0), \"categories\": [\"\($0 == 7 ? "Lost" : "Home")\", \"C\($0 % 3)\"]}\n"
        }
        try folder.write("items.jsonl", items.joined())
        #expect(try DatasetFolder(path: folder.path).prepared().catalogue.categories == ["C0", "C1", "C2", "Lost"])
        // Where there is no other category, it stays.
        try folder.write("items.jsonl", (1...40).map { "{\"id\": \($0), \"categories\": [\"Home\"]}\n" }.joined())
        #expect(try DatasetFolder(path: folder.path).prepared().catalogue.categories == ["Home"])
    }

    @Test func aBadLineOfMetadataIsNamedOrSkipped() throws {
        let folder = try TemporaryFolder()
        try folder.write("Lamps.jsonl", Self.amazon2023.reviews.text)
        try folder.write("meta_Lamps.jsonl", Self.amazon2023.metadata.text + "\n{\"title\": \"no id\"}\n")
        let source = try DatasetFolder(path: folder.path)
        do {
            _ = try source.prepared()
            Issue.record("read an item without id")
        } catch {
            #expect(error.description.contains("meta_Lamps.jsonl:3: parent_asin is missing"))
        }
        #expect(try source.prepared(PreparationOptions(skipsBadLines: true)).skippedLines == 1)
    }

    @Test func aFileThatIsCutOffIsNamed() throws {
        let folder = try TemporaryFolder()
        let line = #"{"user_id": "A", "parent_asin": "B", "rating": 5, "timestamp": 1588687728923}"# + "\n"
        let bytes = TemporaryFolder.gzip(String(repeating: line, count: 20_000))
        try folder.write("R.jsonl.gz", bytes: Array(bytes[..<(bytes.count - 100)]))
        do {
            _ = try DatasetFolder(path: folder.path).prepared(PreparationOptions(skipsBadLines: true))
            Issue.record("read a file that is cut off")
        } catch {
            #expect(error.file == folder.path + "/R.jsonl.gz" && error.reason.contains("is cut off"))
        }
    }
}
