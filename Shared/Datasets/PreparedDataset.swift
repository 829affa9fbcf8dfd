import Digests
public import Messages

/// A data set ready for training: every user's events in order of time, items by their number in the catalogue.
///
/// Of a user with at least three events the last is the test, the one before it validates, and the rest trains
/// (leave-one-out). The events of other users only train.
public struct PreparedDataset: Sendable, Equatable {
    /// One event.
    public struct Entry: Sendable, Equatable {
        /// The item's index in the catalogue.
        public var item: Int32
        /// The rating on the data set's own scale; nil when there is none.
        public var rating: Float?
        /// Milliseconds since 1970.
        public var time: Int64
    }

    /// The items that occur.
    public let catalogue: Catalogue
    /// Ids of the users, in the order they first occurred.
    public let users: [String]
    /// Hash of the catalogue and all events: equal hashes, equal data.
    public let dataHash: String
    /// Bad lines left out while reading.
    public let skippedLines: Int

    /// Where each user's events start, with the total at the end.
    let offsets: [Int]
    let items: [Int32]
    /// NaN where there is none.
    let ratings: [Float]
    let times: [Int64]

    init(
        catalogue: Catalogue,
        users: [String],
        offsets: [Int],
        items: [Int32],
        ratings: [Float],
        times: [Int64],
        skippedLines: Int
    ) throws(DatasetError) {
        self.catalogue = catalogue
        self.users = users
        self.offsets = offsets
        self.items = items
        self.ratings = ratings
        self.times = times
        self.skippedLines = skippedLines
        var hash = SHA256()
        for item in catalogue.items {
            hash.update(Array("\(item.id)\0\(item.title)\0\(item.categories.joined(separator: "|"))\n".utf8))
        }
        hash.update(
            Self.sequenceBytes(users: users, offsets: offsets, items: items, ratings: ratings, times: times)
        )
        dataHash = hash.hexDigest()
    }

    /// Gathers the events of a reader.
    ///
    /// - Parameters:
    ///   - reader: the events, in any order; equal times keep the reader's order.
    ///   - catalogue: the items; those without events are left out.
    ///   - skipsBadLines: whether an event of an item that the catalogue does not have is left out and counted.
    /// - Throws: `DatasetError` from the reader, for an unknown item, and when there is no event.
    public init(
        reading reader: inout some EventReader,
        catalogue: Catalogue,
        skipsBadLines: Bool = false
    ) throws(DatasetError) {
        var userIndex: [String: Int] = [:]
        var users: [String] = []
        var histories: [[Entry]] = []
        var unknownItems = 0
        while let event = try reader.next() {
            guard let item = catalogue.index(of: event.item) else {
                if skipsBadLines {
                    unknownItems += 1
                    continue
                }
                throw DatasetError(
                    line: reader.position.line,
                    field: "item",
                    value: event.item,
                    reason: "is not in the catalogue; add it there, or skip bad lines"
                )
            }
            let user: Int
            if let known = userIndex[event.user] {
                user = known
            } else {
                user = users.count
                userIndex[event.user] = user
                users.append(event.user)
                histories.append([])
            }
            histories[user].append(Entry(item: Int32(item), rating: event.rating, time: event.time))
        }
        guard !users.isEmpty else { throw DatasetError(reason: "the data set holds no event") }
        try self.init(
            histories: histories,
            users: users,
            catalogue: catalogue,
            skippedLines: reader.skippedLines + unknownItems
        )
    }

    private init(
        histories: [[Entry]],
        users: [String],
        catalogue: Catalogue,
        skippedLines: Int
    ) throws(DatasetError) {
        var occurs = [Bool](repeating: false, count: catalogue.count)
        for history in histories {
            for entry in history { occurs[Int(entry.item)] = true }
        }
        var newIndex = [Int32](repeating: -1, count: catalogue.count)
        var kept: [CatalogueItem] = []
        for index in catalogue.items.indices where occurs[index] {
            newIndex[index] = Int32(kept.count)
            kept.append(catalogue.items[index])
        }
        var offsets = [0]
        var items: [Int32] = []
        var ratings: [Float] = []
        var times: [Int64] = []
        for history in histories {
            // Swift's sort is stable, so events of one time keep their order.
            for entry in history.sorted(by: { $0.time < $1.time }) {
                items.append(newIndex[Int(entry.item)])
                ratings.append(entry.rating ?? .nan)
                times.append(entry.time)
            }
            offsets.append(items.count)
        }
        try self.init(
            catalogue: try Catalogue(items: kept),
            users: users,
            offsets: offsets,
            items: items,
            ratings: ratings,
            times: times,
            skippedLines: skippedLines
        )
    }

    /// How many events there are.
    public var eventCount: Int { items.count }

    /// How many events a user has.
    public func eventCount(ofUser user: Int) -> Int { offsets[user + 1] - offsets[user] }

    /// One event of a user, counted from 0.
    public func entry(user: Int, _ index: Int) -> Entry {
        let place = offsets[user] + index
        return Entry(item: items[place], rating: ratings[place].isNaN ? nil : ratings[place], time: times[place])
    }

    /// The item of one event of a user.
    public func item(user: Int, _ index: Int) -> Int { Int(items[offsets[user] + index]) }

    /// Some of a user's events as a model takes them.
    public func timeline(user: Int, _ range: Range<Int>) -> [TimelineEvent] {
        range.map { index in
            let entry = entry(user: user, index)
            return TimelineEvent(item: catalogue.items[Int(entry.item)].id, rating: entry.rating, time: entry.time)
        }
    }

    /// Users with a test event and one that validates.
    public var evaluatedUsers: [Int] { users.indices.filter { eventCount(ofUser: $0) >= 3 } }

    /// How many of a user's events train: all but the last two, or all of them when there are fewer than three.
    public func trainingCount(ofUser user: Int) -> Int {
        let count = eventCount(ofUser: user)
        return count >= 3 ? count - 2 : count
    }

    /// How often each item occurs in training.
    public func trainingCounts() -> [Int] {
        var counts = [Int](repeating: 0, count: catalogue.count)
        for user in users.indices {
            for index in 0..<trainingCount(ofUser: user) { counts[item(user: user, index)] += 1 }
        }
        return counts
    }
}
