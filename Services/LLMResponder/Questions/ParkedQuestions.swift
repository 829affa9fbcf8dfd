import Bytes
import Messages
import MessageLogs

/// How many questions may wait in the memory of one process.
struct ParkingLimit: Sendable {
    /// How many.
    var count: Int
    /// How much memory they may take together.
    var byteCount: Int
}

/// The questions that wait: for their user's row to know more events, or for the database.
///
/// Each lies at its place in the log too, and no offset behind it is committed: whoever takes over its partition reads it
/// again. So nothing is written while it waits.
struct ParkedQuestions {
    /// A place, in an array that is sorted by something.
    private struct Entry<Value: Comparable> {
        let value: Value
        let place: PlacedQuestion.Place
    }

    let limit: ParkingLimit
    private var questions: [PlacedQuestion.Place: PlacedQuestion] = [:]
    /// Ascending.
    private var offsets: [TopicPartition: [Int64]] = [:]
    /// By the time at which they end.
    private var dues: [Entry<Int64>] = []
    /// By how many events they wait for.
    private var users: [UserID: [Entry<UInt64>]] = [:]
    private var keys: Set<QuestionKey> = []
    /// About how much memory they take.
    private(set) var byteCount = 0

    /// Begins with none.
    init(limit: ParkingLimit) { self.limit = limit }

    /// How many wait.
    var count: Int { questions.count }

    /// When the first of them ends, in milliseconds since 1970.
    var nextDue: Int64? { dues.first?.value }

    /// Whether there is room for one more.
    func hasRoom(for question: PlacedQuestion) -> Bool {
        count < limit.count && byteCount + question.byteCount <= limit.byteCount
    }

    /// Whether the same question waits already.
    func contains(_ key: QuestionKey) -> Bool { keys.contains(key) }

    /// The one at a place.
    subscript(place: PlacedQuestion.Place) -> PlacedQuestion? { questions[place] }

    /// The offset of the first that waits in a partition.
    func first(in partition: TopicPartition) -> Int64? { offsets[partition]?.first }

    /// All places.
    var places: some Sequence<PlacedQuestion.Place> { questions.keys }

    /// Those of a user for which so many events are enough.
    func places(of user: UserID, knowing eventCount: UInt64) -> [PlacedQuestion.Place] {
        users[user, default: []].prefix { $0.value <= eventCount }.map(\.place)
    }

    /// The fewest events that one of a user's questions waits for; nil when none waits.
    func leastEventCount(of user: UserID) -> UInt64? {
        users[user]?.first?.value
    }

    /// Takes a question in.
    mutating func park(_ question: PlacedQuestion) {
        let place = question.place
        guard questions.updateValue(question, forKey: place) == nil else { return }
        var sorted = offsets.removeValue(forKey: place.partition) ?? []
        sorted.insert(place.offset, at: sorted.partition { $0 > place.offset })
        offsets[place.partition] = sorted
        Self.insert(Entry(value: question.due, place: place), into: &dues)
        Self.insert(
            Entry(value: question.question.minimumEventCount, place: place),
            into: &users[question.user, default: []]
        )
        keys.insert(question.key)
        byteCount += question.byteCount
    }

    /// Takes a question out; nil when it is not there any more.
    @discardableResult
    mutating func remove(_ place: PlacedQuestion.Place) -> PlacedQuestion? {
        guard let question = questions.removeValue(forKey: place) else { return nil }
        if var sorted = offsets.removeValue(forKey: place.partition) {
            let index = sorted.partition { $0 >= place.offset }
            if index < sorted.count, sorted[index] == place.offset { sorted.remove(at: index) }
            if !sorted.isEmpty { offsets[place.partition] = sorted }
        }
        Self.remove(Entry(value: question.due, place: place), from: &dues)
        Self.remove(
            Entry(value: question.question.minimumEventCount, place: place),
            from: &users[question.user, default: []]
        )
        if users[question.user]?.isEmpty == true { users[question.user] = nil }
        keys.remove(question.key)
        byteCount -= question.byteCount
        return question
    }

    /// Takes out those whose time is over, the longest over first.
    mutating func takeExpired(_ now: Int64, atMost count: Int) -> [PlacedQuestion] {
        let places = dues.prefix(count).prefix { $0.value <= now }.map(\.place)
        return places.compactMap { remove($0) }
    }

    /// Forgets those of partitions that went elsewhere, and gives their users.
    mutating func drop(_ partitions: some Sequence<TopicPartition>) -> Set<UserID> {
        var users: Set<UserID> = []
        for partition in partitions {
            for offset in offsets[partition] ?? [] {
                if let question = remove(PlacedQuestion.Place(partition: partition, offset: offset)) {
                    users.insert(question.user)
                }
            }
        }
        return users
    }

    private static func insert<Value>(_ entry: Entry<Value>, into entries: inout [Entry<Value>]) {
        entries.insert(entry, at: entries.partition { $0.value > entry.value })
    }

    private static func remove<Value>(_ entry: Entry<Value>, from entries: inout [Entry<Value>]) {
        var index = entries.partition { $0.value >= entry.value }
        while index < entries.count, entries[index].value == entry.value, entries[index].place != entry.place {
            index += 1
        }
        if index < entries.count, entries[index].place == entry.place { entries.remove(at: index) }
    }
}

extension Array {
    /// The first index of which the condition holds, where it holds of all that follow.
    fileprivate func partition(_ condition: (Element) -> Bool) -> Int {
        var (low, high) = (0, count)
        while low < high {
            let middle = low + (high - low) / 2
            if condition(self[middle]) { high = middle } else { low = middle + 1 }
        }
        return low
    }
}
