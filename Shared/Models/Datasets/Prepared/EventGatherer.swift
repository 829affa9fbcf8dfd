/// Collects events in any order and returns them grouped by user, sorted by time.
///
/// An event takes 13 bytes while it is collected (17 if times are not whole seconds) and 9 (13) afterwards; columns are
/// moved one at a time, so that at most one of them exists twice. Users and items come on top, and where reviews are kept
/// their bytes, 8 bytes each and, while they are moved, all of it twice.
struct EventGatherer {
    /// Events in order of arrival; growing one long array would hold it twice.
    private struct Chunk {
        /// Large enough that a column exceeds 32 MiB, the size from which the C library returns freed memory to the
        /// system immediately; the unfilled part takes no memory.
        static let capacity = 1 << 23
        /// -1 when the event was dropped.
        var users: [Int32] = []
        var items: [Int32] = []
        var ratings = RatingColumn()
        var times = TimeColumn()
        /// Empty unless reviews are kept.
        var reviews = ReviewColumn()

        init() {
            users.reserveCapacity(Self.capacity)
            items.reserveCapacity(Self.capacity)
            ratings.reserveCapacity(Self.capacity)
            times.reserveCapacity(Self.capacity)
        }
    }

    /// How many rare users and items were removed, and how many events with them.
    struct Removal: Equatable {
        var users = 0
        var items = 0
        var events = 0
    }

    /// All users seen, by number.
    private(set) var users = IDTable()
    /// All items, by number.
    var items = IDTable()
    /// How many events there are.
    var count = 0

    /// Whether the texts of reviews are kept.
    private let keepsReviews: Bool
    private var chunks: [Chunk] = []
    private var current = Chunk()
    /// In most files the events of one user are contiguous.
    private var lastUser: [UInt8] = []
    private var lastUserNumber = -1

    init(keepsReviews: Bool = false) { self.keepsReviews = keepsReviews }

    /// Adds an event of an item that already has a number, with what is kept of its review.
    ///
    /// - Throws: `DatasetError` when the user's id is invalid.
    mutating func add(_ row: EventRow, item: Int, review: ArraySlice<UInt8> = []) throws(DatasetError) {
        if lastUserNumber < 0 || row.user != lastUser {
            let id = 0..<row.user.count
            if let number = users.knownNumber(of: row.user, id) {
                lastUserNumber = number
            } else {
                _ = try TextCheck.id(row.user, "user")
                lastUserNumber = users.number(of: row.user, id)
            }
            lastUser.removeAll(keepingCapacity: true)
            lastUser.append(contentsOf: row.user)
        }
        current.users.append(Int32(lastUserNumber))
        current.items.append(Int32(item))
        current.ratings.append(row.rating)
        current.times.append(row.time)
        if keepsReviews { current.reviews.append(review) }
        count += 1
        if current.users.count == Chunk.capacity {
            chunks.append(current)
            current = Chunk()
        }
    }

    // MARK: - Removing rare users and items

    /// Repeatedly drops users and items with too few events until all that remain have enough.
    mutating func keepCore(minimumUserEvents: Int, minimumItemEvents: Int) -> Removal {
        finishChunks()
        var removal = Removal()
        guard minimumUserEvents > 1 || minimumItemEvents > 1 else { return removal }
        var userCounts = [Int32](repeating: 0, count: users.count)
        var itemCounts = [Int32](repeating: 0, count: items.count)
        for chunk in chunks {
            for index in chunk.users.indices where chunk.users[index] >= 0 {
                userCounts[Int(chunk.users[index])] += 1
                itemCounts[Int(chunk.items[index])] += 1
            }
        }
        let (allUsers, allItems) = (userCounts.count { $0 > 0 }, itemCounts.count { $0 > 0 })
        var isStable = false
        while !isStable {
            isStable = true
            for chunk in chunks.indices {
                for index in chunks[chunk].users.indices {
                    let (user, item) = (Int(chunks[chunk].users[index]), Int(chunks[chunk].items[index]))
                    guard user >= 0, userCounts[user] < minimumUserEvents || itemCounts[item] < minimumItemEvents
                    else { continue }
                    chunks[chunk].users[index] = -1
                    userCounts[user] -= 1
                    itemCounts[item] -= 1
                    removal.events += 1
                    isStable = false
                }
            }
        }
        count -= removal.events
        removal.users = allUsers - userCounts.count { $0 > 0 }
        removal.items = allItems - itemCounts.count { $0 > 0 }
        return removal
    }

    /// Which items have events.
    mutating func occurringItems() -> [Bool] {
        finishChunks()
        var occurs = [Bool](repeating: false, count: items.count)
        for chunk in chunks {
            for index in chunk.users.indices where chunk.users[index] >= 0 { occurs[Int(chunk.items[index])] = true }
        }
        return occurs
    }

    // MARK: - User by user

    /// Events grouped by user, each user's sorted by time; equal times keep the order of arrival.
    struct Grouped {
        /// Numbers of the users with events, in order of first occurrence.
        var users: [Int] = []
        /// The start of each of these users' events, with the total at the end.
        var offsets: [Int] = [0]
        var items: [Int32] = []
        var ratings = RatingColumn()
        var times = TimeColumn()
        /// Nil unless reviews are kept.
        var reviews: ReviewColumn?
    }

    /// Groups the events and renumbers items by `newItems`; this gatherer is empty afterwards.
    mutating func group(newItems: [Int32]) -> Grouped {
        finishChunks()
        var starts = [Int](repeating: 0, count: users.count)
        for chunk in chunks {
            for user in chunk.users where user >= 0 { starts[Int(user)] += 1 }
        }
        var grouped = Grouped()
        for user in starts.indices where starts[user] > 0 {
            grouped.users.append(user)
            let start = grouped.offsets[grouped.offsets.count - 1]
            grouped.offsets.append(start + starts[user])
            starts[user] = start
        }
        grouped.items = [Int32](repeating: 0, count: count)
        moveEvents(starts) { chunk, index, position in
            grouped.items[position] = newItems[Int(chunk.items[index])]
        } thenDrop: {
            $0.items = []
        }
        grouped.ratings = RatingColumn(count: count)
        moveEvents(starts) { chunk, index, position in
            grouped.ratings[position] = chunk.ratings[index]
        } thenDrop: {
            $0.ratings = RatingColumn()
        }
        grouped.times = TimeColumn(count: count, isWide: chunks.contains { $0.times.isWide })
        moveEvents(starts) { chunk, index, position in
            grouped.times[position] = chunk.times[index]
        } thenDrop: {
            $0.times = TimeColumn()
        }
        // Texts have different lengths, so they are moved last, when their order is known.
        var places = keepsReviews ? places(starts) : []
        grouped.sortByTime(&places)
        if keepsReviews { grouped.reviews = reviews(at: places) }
        chunks = []
        return grouped
    }

    /// The position, in order of arrival, of each of the grouped events.
    private func places(_ starts: [Int]) -> [Int] {
        var next = starts
        var places = [Int](repeating: 0, count: count)
        forEachEvent { user, place in
            places[next[user]] = place
            next[user] += 1
        }
        return places
    }

    private func reviews(at places: [Int]) -> ReviewColumn {
        var column = ReviewColumn()
        for place in places { column.append(chunks[place / Chunk.capacity].reviews[place % Chunk.capacity]) }
        return column
    }

    /// Calls `move` with each event's place in its chunk and among the grouped events, and frees what was moved.
    @inline(__always)
    private mutating func moveEvents(
        _ starts: [Int],
        _ move: (_ chunk: Chunk, _ index: Int, _ position: Int) -> Void,
        thenDrop drop: (inout Chunk) -> Void
    ) {
        var next = starts
        for number in chunks.indices {
            let chunk = chunks[number]
            for (index, user) in chunk.users.enumerated() where user >= 0 {
                move(chunk, index, next[Int(user)])
                next[Int(user)] += 1
            }
            drop(&chunks[number])
        }
    }

    mutating func finishChunks() {
        guard !current.users.isEmpty else { return }
        chunks.append(current)
        current = Chunk()
    }

    // MARK: - Events in order of arrival

    /// Calls `body` with the user and the position of each event that was not dropped.
    func forEachEvent(_ body: (_ user: Int, _ place: Int) -> Void) {
        for (number, chunk) in chunks.enumerated() {
            for (index, user) in chunk.users.enumerated() where user >= 0 {
                body(Int(user), number * Chunk.capacity + index)
            }
        }
    }

    func item(at place: Int) -> Int32 { chunks[place / Chunk.capacity].items[place % Chunk.capacity] }
    func time(at place: Int) -> Int64 { chunks[place / Chunk.capacity].times[place % Chunk.capacity] }
    mutating func leaveOut(at place: Int) { chunks[place / Chunk.capacity].users[place % Chunk.capacity] = -1 }
}

extension EventGatherer.Grouped {
    /// Sorts each user's events; most files have them in order, and then nothing is moved.
    ///
    /// - Parameter places: moved along, one for each event; empty where there is nothing else to move.
    fileprivate mutating func sortByTime(_ places: inout [Int]) {
        for (start, end) in zip(offsets, offsets.dropFirst()) {
            guard (start..<end).dropFirst().contains(where: { times[$0] < times[$0 - 1] }) else { continue }
            // Swift's sort is stable, so events with equal times keep their order.
            let order = (start..<end).map { (place: $0, time: times[$0]) }.sorted { $0.time < $1.time }
            let (items, ratings) = (order.map { self.items[$0.place] }, order.map { self.ratings[$0.place] })
            if !places.isEmpty { places.replaceSubrange(start..<end, with: order.map { places[$0.place] }) }
            for (index, place) in (start..<end).enumerated() {
                self.items[place] = items[index]
                self.ratings[place] = ratings[index]
                times[place] = order[index].time
            }
        }
    }
}
