/// Gathers events in any order and gives them back user by user, in order of time.
///
/// An event takes 13 bytes while it is gathered (17 where times are not whole seconds) and 9 (13) afterwards; one column
/// is moved after the other, so that at most one of them is there twice. Users and items come on top.
struct EventGatherer {
    /// Events in the order they came; growing one long array would hold it twice.
    private struct Chunk {
        /// So many that a column is past 32 MiB, from where the C library gives freed memory back at once; what is not
        /// filled takes no memory.
        static let capacity = 1 << 23
        /// -1 when the event was left out.
        var users: [Int32] = []
        var items: [Int32] = []
        var ratings = RatingColumn()
        var times = TimeColumn()

        init() {
            users.reserveCapacity(Self.capacity)
            items.reserveCapacity(Self.capacity)
            ratings.reserveCapacity(Self.capacity)
            times.reserveCapacity(Self.capacity)
        }
    }

    /// How often events of rare users and items were left out, and how many.
    struct Removal: Equatable {
        var users = 0
        var items = 0
        var events = 0
    }

    /// Everybody who occurred, by number.
    private(set) var users = IDTable()
    /// Every item, by number.
    var items = IDTable()
    /// How many events there are.
    var count = 0

    private var chunks: [Chunk] = []
    private var current = Chunk()
    /// In most files one user's events stand together.
    private var lastUser: [UInt8] = []
    private var lastUserNumber = -1

    /// Adds an event of an item that has a number.
    ///
    /// - Throws: `DatasetError` when the user's id is none.
    mutating func add(_ row: EventRow, item: Int) throws(DatasetError) {
        if lastUserNumber < 0 || row.user != lastUser {
            let id = 0..<row.user.count
            if let number = users.knownNumber(of: row.user, id) {
                lastUserNumber = number
            } else {
                _ = try IDCheck.text(row.user, "user")
                lastUserNumber = users.number(of: row.user, id)
            }
            lastUser.removeAll(keepingCapacity: true)
            lastUser.append(contentsOf: row.user)
        }
        current.users.append(Int32(lastUserNumber))
        current.items.append(Int32(item))
        current.ratings.append(row.rating)
        current.times.append(row.time)
        count += 1
        if current.users.count == Chunk.capacity {
            chunks.append(current)
            current = Chunk()
        }
    }

    // MARK: - Leaving out what is rare

    /// Leaves out users and items with too few events, again and again until all that are left have enough.
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

    /// Events user by user, each user's in order of time; those of one time in the order they came.
    struct Grouped {
        /// Numbers of the users with events, in the order they first occurred.
        var users: [Int] = []
        /// Where each of these users' events start, with the total at the end.
        var offsets: [Int] = [0]
        var items: [Int32] = []
        var ratings = RatingColumn()
        var times = TimeColumn()
    }

    /// Groups the events, and gives items the numbers that `newItems` has for them; nothing is left in here.
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
        forEachChunk(starts) { chunk, next in
            for (index, user) in chunk.users.enumerated() where user >= 0 {
                grouped.items[next[Int(user)]] = newItems[Int(chunk.items[index])]
                next[Int(user)] += 1
            }
        } thenDrop: {
            $0.items = []
        }
        grouped.ratings = RatingColumn(count: count)
        forEachChunk(starts) { chunk, next in
            for (index, user) in chunk.users.enumerated() where user >= 0 {
                grouped.ratings[next[Int(user)]] = chunk.ratings[index]
                next[Int(user)] += 1
            }
        } thenDrop: {
            $0.ratings = RatingColumn()
        }
        grouped.times = TimeColumn(count: count, isWide: chunks.contains { $0.times.isWide })
        forEachChunk(starts) { chunk, next in
            for (index, user) in chunk.users.enumerated() where user >= 0 {
                grouped.times[next[Int(user)]] = chunk.times[index]
                next[Int(user)] += 1
            }
        } thenDrop: {
            $0.times = TimeColumn()
        }
        chunks = []
        grouped.sortByTime()
        return grouped
    }

    /// Calls `body` with each chunk and the next place of each user, and drops what was moved.
    private mutating func forEachChunk(
        _ starts: [Int],
        _ body: (Chunk, _ next: inout [Int]) -> Void,
        thenDrop drop: (inout Chunk) -> Void
    ) {
        var next = starts
        for number in chunks.indices {
            body(chunks[number], &next)
            drop(&chunks[number])
        }
    }

    mutating func finishChunks() {
        guard !current.users.isEmpty else { return }
        chunks.append(current)
        current = Chunk()
    }

    // MARK: - Events by their place in the order they came

    /// Calls `body` with the user and the place of each event that is not left out.
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
    /// Orders each user's events; most files have them in order, and then nothing is moved.
    fileprivate mutating func sortByTime() {
        for (start, end) in zip(offsets, offsets.dropFirst()) {
            guard (start..<end).dropFirst().contains(where: { times[$0] < times[$0 - 1] }) else { continue }
            // Swift's sort is stable, so events of one time keep their order.
            let order = (start..<end).map { (place: $0, time: times[$0]) }.sorted { $0.time < $1.time }
            let (items, ratings) = (order.map { self.items[$0.place] }, order.map { self.ratings[$0.place] })
            for (index, place) in (start..<end).enumerated() {
                self.items[place] = items[index]
                self.ratings[place] = ratings[index]
                times[place] = order[index].time
            }
        }
    }
}
