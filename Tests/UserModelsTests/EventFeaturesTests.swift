import Bytes
import Messages
import NeuralNetwork
import Testing
import UserModels

@Suite struct EventFeaturesTests {
    private let features = TinyWorld.features

    @Test func knownItemHasTheCataloguesCategories() throws {
        let event = try #require(features.indexed(TinyWorld.timeline(["a4"])).first)
        #expect(event.item == 3)
        #expect(event.unknownItem == -1)
        #expect(event.categories.map { features.categoryNames[Int($0)] } == ["Action", "Drama"])
    }

    @Test func categoriesOfTheEventComeFirst() throws {
        let event = TimelineEvent(item: "a1", categories: ["Comedy", "Nobody knows this"], time: 0)
        let indexed = try #require(features.indexed([event]).first)
        #expect(indexed.categories.map { features.categoryNames[Int($0)] } == ["Comedy"])
    }

    @Test func unknownItemFallsIntoABucketAndKeepsItsCategories() throws {
        let event = TimelineEvent(item: "never seen", categories: ["Drama"], time: 0)
        let indexed = try #require(features.indexed([event]).first)
        #expect(indexed.item == -1)
        #expect((0..<8).contains(indexed.unknownItem))
        #expect(indexed.categories.map { features.categoryNames[Int($0)] } == ["Drama"])
        #expect(features.indexed([event]) == [indexed])
        let buckets = Set((0..<200).map { features.indexed(TinyWorld.timeline(["other \($0)"]))[0].unknownItem })
        #expect(buckets == Set(0..<8))
    }

    @Test(
        arguments: [
            (nil, 0), (Float.nan, 0), (0, 1), (-3, 1), (0.5, 2), (0.7, 2), (3, 7), (5, 11), (9, 11),
        ] as [(Float?, Int32)]
    )
    func ratingsAreCountedInHalfSteps(rating: Float?, bucket: Int32) {
        #expect(features.ratingBucket(rating) == bucket)
        #expect(bucket < features.configuration.ratingBuckets)
    }

    @Test(
        arguments: [
            (-5, 1), (0, 1), (999, 1), (1_000, 2), (2_000, 3), (4_000, 4), (60_000, 7), (86_400_000, 18),
            (Int64.max, 29),
        ] as [(Int64, Int32)]
    )
    func timeGapsAreCountedInDoublings(milliseconds: Int64, bucket: Int32) {
        #expect(features.timeGapBucket(milliseconds: milliseconds) == bucket)
    }

    @Test func firstEventOfAWindowHasNoGap() {
        let events = features.indexed(TinyWorld.timeline(["a1", "a2", "a3"]))
        #expect(events.map(\.timeGap) == [0, 7, 7])
        #expect(EventBatch([events[1...]]).timeGaps == [0, 7])
    }

    @Test func batchIsPaddedAtTheEnd() {
        let events = features.indexed(TinyWorld.timeline(["a1", "a4", "new"]))
        let batch = EventBatch([events[..<1], events[...], []], length: 4)
        #expect(batch.lengths == [1, 3, 0])
        #expect(batch.items == [0, -1, -1, -1, 0, 3, -1, -1, -1, -1, -1, -1])
        #expect(batch.unknownItems.filter { $0 >= 0 }.count == 1)
        #expect(batch.categoryOffsets.count == 13)
        #expect(batch.categoryOffsets.last == Int32(batch.categories.count))
    }

    @Test func windowGivesEachEventItsNext() {
        let events = features.indexed(TinyWorld.timeline(["a1", "a4", "new", "c1"]))
        let batch = NextEventBatch(windows: [events[...], events[..<2]])
        #expect(batch.events.length == 3)
        #expect(batch.targetItems == [3, -1, 8, 3, -1, -1])
        #expect(batch.targetCount == 3)
        #expect(batch.targetCategories.filter { $0.row == 0 }.map(\.weight) == [0.5, 0.5])
        #expect(batch.targetRatings == [9, 9, 9, 9, -1, -1])
    }

    @Test func hidingReplacesItemsByBuckets() {
        var random = SeededRandom(seed: 1)
        var batch = EventBatch([features.indexed(TinyWorld.timeline(["a1", "a2"]))[...]], length: 3)
        batch.hideItems(probability: 1, buckets: 4, using: &random)
        #expect(batch.items == [-1, -1, -1])
        #expect(batch.unknownItems[0] >= 0 && batch.unknownItems[1] >= 0 && batch.unknownItems[2] == -1)
    }
}
