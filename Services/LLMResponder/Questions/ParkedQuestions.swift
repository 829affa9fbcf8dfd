import Bytes
import Messages
import MessageLogs

/// How many questions may wait in the memory of one process.
struct ParkingLimit: Sendable {
    /// The number of questions.
    var count: Int
    /// The memory they may use together.
    var byteCount: Int
}

/// The waiting questions: for their user's row to cover more events, or for the database.
///
/// Each is also still in the log, and no offset after it is committed: the next owner of its partition reads it again.
/// So a wait writes nothing.
struct ParkedQuestions {
    /// A question's position, in an array that is sorted by a value.
    private struct Entry<Value: Comparable> {
        let value: Value
        let place: PlacedQuestion.Place
    }

    let limit: ParkingLimit
    private var questions: [PlacedQuestion.Place: PlacedQuestion] = [:]
    /// Ascending.
    private var offsets: [TopicPartition: [Int64]] = [:]
    /// By deadline.
    private var dues: [Entry<Int64>] = []
    /// By the number of events they wait for.
    private var users: [UserID: [Entry<UInt64>]] = [:]
    private var keys: Set<QuestionKey> = []
    /// Their approximate memory use.
    private(set) var byteCount = 0

    /// Starts without questions.
    init(limit: ParkingLimit) { self.limit = limit }

    /// The number of waiting questions.
    var count: Int { questions.count }

    /// The earliest deadline, in milliseconds since 1970.
    var nextDue: Int64? { dues.first?.value }

    /// Whether there is room for one more.
    func hasRoom(for question: PlacedQuestion) -> Bool {
        count < limit.count && byteCount + question.byteCount <= limit.byteCount
    }

    /// Whether the same question is already waiting.
    func contains(_ key: QuestionKey) -> Bool { keys.contains(key) }

    /// The question at a position.
    subscript(place: PlacedQuestion.Place) -> PlacedQuestion? { questions[place] }

    /// The lowest offset that waits in a partition.
    func first(in partition: TopicPartition) -> Int64? { offsets[partition]?.first }

    /// All positions.
    var places: some Sequence<PlacedQuestion.Place> { questions.keys }

    /// The user's questions for which this many events are enough.
    func places(of user: UserID, knowing eventCount: UInt64) -> [PlacedQuestion.Place] {
        users[user, default: []].prefix { $0.value <= eventCount }.map(\.place)
    }

    /// The fewest events that one of a user's questions waits for; nil if none waits.
    func leastEventCount(of user: UserID) -> UInt64? {
        users[user]?.first?.value
    }

    /// Adds a question.
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

    /// Removes a question; nil if it is no longer there.
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

    /// Removes those whose deadline has passed, the longest overdue first.
    mutating func takeExpired(_ now: Int64, atMost count: Int) -> [PlacedQuestion] {
        let places = dues.prefix(count).prefix { $0.value <= now }.map(\.place)
        return places.compactMap { remove($0) }
    }

    /// Drops the questions of partitions that were reassigned, and returns their users.
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
    /// The first index at which the condition holds, provided that it then holds for all later elements.
    fileprivate func partition(_ condition: (Element) -> Bool) -> Int {
        var (low, high) = (0, count)
        while low < high {
            let middle = low + (high - low) / 2
            if condition(self[middle]) { high = middle } else { low = middle + 1 }
        }
        return low
    }
}
