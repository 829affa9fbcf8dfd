public import Datasets
public import Bytes
import Catalogues
public import Messages
import EmbeddingStore
import UserModels

/// What the rows must be: every user's full history encoded offline with the same bundle, and the items in it.
public struct OfflineRows: Sendable {
    /// How the rows of a database compare with these.
    public struct Comparison: Codable, Sendable {
        /// Users with a history.
        public var expectedRows: Int
        /// Rows in the database.
        public var foundRows: Int
        /// The greatest difference of any number.
        public var worstDifference: Float
        /// What is wrong, one line a user; empty when all is right.
        public var mismatches: [String]

        /// Whether every row is right.
        public var isRight: Bool { mismatches.isEmpty && expectedRows == foundRows }
    }

    /// The greatest difference of a number that is allowed: a matrix product's rounding may depend on its batch.
    public static let tolerance: Float = 1e-5

    /// What the rules of the encoder worker, which stand at `Timeline`, make of a user's events.
    ///
    /// Ids are compared whole here, not by their digests.
    private struct History: Sendable {
        var count: UInt64 = 0
        /// The window's events, and before `first` those that fell out of it.
        private var events: [TimelineEvent] = []
        private var ids: [String?] = []
        private var first = 0
        private var byteCount = 0
        /// Items that no event of the window has any more, in the order of their last events; also as a set.
        private var earlierItems: [ItemID] = []
        private var isEarlier: Set<ItemID> = []

        var window: ArraySlice<TimelineEvent> { events[first...] }

        /// The last distinct items, at most `Limits.seenItemCount`.
        var seenItems: Set<ItemID> {
            var seen: Set<ItemID> = []
            for item in (earlierItems + window.map(\.item)).reversed() where seen.count < Limits.seenItemCount {
                seen.insert(item)
            }
            return seen
        }

        mutating func add(_ event: Event, length: Int) {
            if let id = event.id, ids[first...].contains(id) { return }
            count += 1
            events.append(TimelineEvent(event))
            ids.append(event.id)
            byteCount += events[events.count - 1].storedByteCount
            if isEarlier.contains(event.item), let place = earlierItems.firstIndex(of: event.item) {
                forget(earlierItemAt: place)
            }
            while window.count > length {
                let item = dropOldestEvent().item
                if !window.contains(where: { $0.item == item }) { remember(item) }
            }
            while !earlierItems.isEmpty,
                earlierItems.count > Limits.seenItemCount || byteCount > Limits.timelineByteCount
            {
                forget(earlierItemAt: 0)
            }
            while window.count > 1, byteCount > Limits.timelineByteCount { dropOldestEvent() }
            // Twice the length at most, so that one event costs no copy of the whole.
            guard first >= length else { return }
            events.removeFirst(first)
            ids.removeFirst(first)
            first = 0
        }

        @discardableResult
        private mutating func dropOldestEvent() -> TimelineEvent {
            defer { first += 1 }
            byteCount -= events[first].storedByteCount
            return events[first]
        }

        private mutating func remember(_ item: ItemID) {
            earlierItems.append(item)
            isEarlier.insert(item)
            byteCount += TimelineEvent.storedByteCount(ofEarlierItem: item.utf8.count)
        }

        private mutating func forget(earlierItemAt place: Int) {
            let item = earlierItems.remove(at: place)
            isEarlier.remove(item)
            byteCount -= TimelineEvent.storedByteCount(ofEarlierItem: item.utf8.count)
        }
    }

    private var histories: [UserID: History] = [:]
    private let length: Int

    /// How many events there are, repetitions not counted.
    public var eventCount: Int { histories.values.reduce(0) { $0 + Int($1.count) } }
    /// How many users there are.
    public var userCount: Int { histories.count }

    /// Begins without events, for timelines of this length.
    public init(length: Int) {
        self.length = length
    }

    /// Adds the next event of its user.
    public mutating func add(_ event: Event) {
        var history = histories.removeValue(forKey: event.user) ?? History()
        history.add(event, length: length)
        histories[event.user] = history
    }

    /// Adds all events of a data set that was prepared for training, in the order it has them in.
    public mutating func add(_ dataset: PreparedDataset) {
        for (index, user) in dataset.users.enumerated() {
            for event in dataset.timeline(user: index, 0..<dataset.eventCount(ofUser: index)) {
                add(Event(user: user, item: event.item, rating: event.rating, time: event.time))
            }
        }
    }

    /// How many events of a user count; 0 for one without a history.
    public func count(of user: UserID) -> UInt64 { histories[user]?.count ?? 0 }

    /// Forgets a user.
    public mutating func remove(user: UserID) { histories[user] = nil }

    /// Encodes every history and compares it with the user's row.
    public func compare(with database: String, bundle folder: String, threads: Int = 2) async throws -> Comparison {
        let bundle = try ModelBundle.load(folder)
        let rows = try await Self.rows(in: database, version: bundle.version)
        var comparison = Comparison(expectedRows: userCount, foundRows: rows.count, worstDifference: 0, mismatches: [])
        let engine = try bundle.makeEncodingEngine(threads: threads)
        let users = histories.keys.sorted()
        for start in stride(from: 0, to: users.count, by: 256) {
            let some = users[start..<min(start + 256, users.count)]
            let own = some.map { histories[$0, default: History()] }
            let encoded = engine.encode(own.map { Array($0.window) })
            for ((user, history), encoded) in zip(zip(some, own), encoded) {
                let numbers = history.seenItems.compactMap { bundle.catalogue.index(of: $0).map { UInt32($0) } }
                check(rows[user], user, history.count, encoded, SeenItems(numbers), &comparison)
            }
        }
        for user in rows.keys where histories[user] == nil {
            comparison.mismatches.append("\(user) has a row but no events")
        }
        return comparison
    }

    private static func rows(in database: String, version: String) async throws -> [UserID: UserEmbedding] {
        let table = try await EmbeddingTable(database: database)
        let collector = RowCollector()
        try await table.allRows(modelVersion: version) { rows in await collector.take(rows) }
        await table.close()
        return await collector.rows
    }

    private func check(
        _ row: UserEmbedding?,
        _ user: UserID,
        _ count: UInt64,
        _ encoded: EncodedUser,
        _ seenItems: SeenItems,
        _ comparison: inout Comparison
    ) {
        guard let row else {
            comparison.mismatches.append("\(user) has \(count) events but no row")
            return
        }
        if row.eventCount != count {
            comparison.mismatches.append("\(user) has \(count) events, its row knows \(row.eventCount)")
            return
        }
        let context = Self.difference(row.context, encoded.context)
        let pooled = Self.difference(row.pooled, encoded.pooled)
        comparison.worstDifference = max(comparison.worstDifference, context, pooled)
        if !(max(context, pooled) <= Self.tolerance) {
            comparison.mismatches.append("\(user): context differs by \(context), pooled vector by \(pooled)")
        }
        if row.seenItems != seenItems {
            let (found, expected) = (Set(row.seenItems.numbers), Set(seenItems.numbers))
            comparison.mismatches.append(
                "\(user): the row lacks \(expected.subtracting(found).count) of \(expected.count) seen items, "
                    + "and has \(found.subtracting(expected).count) others"
            )
        }
    }

    private static func difference(_ a: [Float], _ b: [Float]) -> Float {
        guard a.count == b.count else { return .infinity }
        return zip(a, b).reduce(0) { worst, pair in
            let difference = abs(pair.0 - pair.1)
            return difference.isNaN ? .infinity : max(worst, difference)
        }
    }
}

private actor RowCollector {
    private(set) var rows: [UserID: UserEmbedding] = [:]

    func take(_ some: [UserEmbedding]) {
        for row in some { rows[row.user] = row }
    }
}
